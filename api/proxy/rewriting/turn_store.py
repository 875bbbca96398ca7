"""The decisions about human turns: in the database, with those used last in the process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update

from api.proxy.rewriting.in_time import Unavailable
from context_builder.conversation.cut import Cut
from context_builder.conversation.gateway_state import Stated
from context_builder.conversation.record import TurnRecord
from models import ConversationFact, ConversationTurn
from models.database import Database
from models.request_log import dialect_of

MAX_RECORDS = 20_000
"""Turns whose decision a process keeps; most are that nothing is inserted."""
_COMMIT_S = 0.02
"""What a commit may take: a decision is not begun to be committed later than this before its deadline."""

_GATHER_S = 0.05
"""How long a decision that nobody waits for gathers others, which are stored with it."""
_MAX_STORED = 500
"""Decisions that one transaction stores."""

Versions = tuple[TurnRecord, ...]


class TooLate(Unavailable):
    """A decision could not be stored before its deadline; nothing of it was."""


class TurnStore:
    """The decisions of all credentials."""

    def __init__(self, database: Database, *, max_records: int = MAX_RECORDS) -> None:
        """Keep so many decisions in the process."""
        self._database = database
        self._max_records = max_records
        self._queued: deque[tuple[str, TurnRecord]] = deque(maxlen=max_records)
        self._is_gathering = False
        self._known: OrderedDict[tuple[str, str], Versions] = OrderedDict()

    def known(self, credential: str, prefixes: Iterable[str]) -> dict[str, Versions]:
        """Return the decisions that the process knows, by prefix."""
        found = {}
        for prefix in prefixes:
            if (credential, prefix) in self._known:
                self._known.move_to_end((credential, prefix))
                found[prefix] = self._known[credential, prefix]
        return found

    def remember(self, credential: str, record: TurnRecord) -> None:
        """Keep a decision in the process, instead of an earlier state of it."""
        others = [r for r in self._known.get((credential, record.prefix), ()) if r.version != record.version]
        self._keep(credential, record.prefix, (*others, record))

    async def load(self, credential: str, prefixes: Sequence[str]) -> None:
        """Read the decisions about these prefixes, whatever the process knows of them."""
        rows = select(ConversationTurn).where(
            ConversationTurn.credential == credential, ConversationTurn.prefix.in_(prefixes)
        )
        async with self._database.read() as session:
            self._take(credential, (await session.scalars(rows)).all())

    async def decide(
        self, credential: str, records: Sequence[TurnRecord], until: float | None = None
    ) -> None:
        """Store decisions, and know those of another worker instead where it was first.

        Raises:
            TooLate: The loop's clock was past `until` before it was certain; nothing was stored.
        """
        await self.store([(credential, record) for record in records], until)

    def queue(self, credential: str, records: Sequence[TurnRecord]) -> bool:
        """Keep decisions for `decide_queued`; return True if somebody has to call it now."""
        self._queued.extend((credential, record) for record in records)
        return bool(records) and not self._is_gathering

    async def decide_queued(self) -> None:
        """Store what is queued, and what others queue in the next moment, as `decide` does."""
        self._is_gathering = True
        try:
            await asyncio.sleep(_GATHER_S)
        finally:
            self._is_gathering = False
        while self._queued:
            await self.store([self._queued.popleft() for _ in range(min(len(self._queued), _MAX_STORED))])

    async def store(self, decided: Sequence[tuple[str, TurnRecord]], until: float | None = None) -> None:
        """Store decisions of any credentials, as `decide` does."""
        keys = [(credential, record.prefix) for credential, record in decided]
        async with self._database.write() as session:
            insert = dialect_of(session).insert(ConversationTurn).on_conflict_do_nothing()
            columns = [{"credential": credential, **_columns(record)} for credential, record in decided]
            await session.execute(insert, columns)
            is_one = tuple_(ConversationTurn.credential, ConversationTurn.prefix).in_(keys)
            stored = (await session.scalars(select(ConversationTurn).where(is_one))).all()
            _check_time(until)
        by_credential: defaultdict[str, list[ConversationTurn]] = defaultdict(list)
        for row in stored:
            by_credential[row.credential].append(row)
        for credential, rows in by_credential.items():
            self._take(credential, rows)

    async def add_cut(
        self, credential: str, record: TurnRecord, cut: Cut, until: float | None = None
    ) -> bool:
        """Store a cut with the turn it was made in; False if another worker was first: its cut is now known.

        Raises:
            TooLate: As in `decide`.
        """
        cuts = [each.to_json() for each in (*record.cuts, cut)]
        changed = (
            update(ConversationTurn)
            .where(
                *_is_row(credential, record),
                ConversationTurn.cut_count == len(record.cuts),
            )
            .values(cuts=cuts, cut_count=len(cuts))
        )
        async with self._database.write() as session:
            insert = dialect_of(session).insert(ConversationTurn).on_conflict_do_nothing()
            await session.execute(insert.values(credential=credential, **_columns(replace(record, cuts=()))))
            is_first = bool((await session.execute(changed)).rowcount)  # type: ignore[attr-defined]
            _check_time(until)
        await self.load(credential, [record.prefix])
        return is_first

    async def bind(self, credential: str, records: Sequence[TurnRecord]) -> None:
        """Store which message followed each turn, unless another is stored."""
        async with self._database.write() as session:
            for record in records:
                await session.execute(
                    update(ConversationTurn)
                    .where(*_is_row(credential, record), ConversationTurn.reply.is_(None))
                    .values(reply=record.reply)
                )

    async def history(self, conversation: str) -> list[TurnRecord]:
        """Return the decisions of one conversation, in the order in which they were made."""
        rows = select(ConversationTurn).where(ConversationTurn.conversation == conversation)
        async with self._database.read() as session:
            found = (await session.scalars(rows.order_by(ConversationTurn.id))).all()
        return [_record(row) for row in found]

    async def forget(self, conversation: str) -> int:
        """Delete what is stored of a conversation, and what was learnt from it; return the number of turns.

        Other processes may still insert what they know of it, until they end.
        """
        async with self._database.write() as session:
            gone = await session.scalars(
                delete(ConversationTurn)
                .where(ConversationTurn.conversation == conversation)
                .returning(ConversationTurn.id)
            )
            count = len(gone.all())
            facts = delete(ConversationFact).where(ConversationFact.conversation == conversation)
            await session.execute(facts)
        kept = {
            key: tuple(record for record in records if record.conversation != conversation)
            for key, records in self._known.items()
        }
        self._known = OrderedDict((key, records) for key, records in kept.items() if records)
        return count

    async def idle(self, before: datetime) -> list[str]:
        """Return the conversations of which no turn was decided since."""
        newest = func.max(ConversationTurn.decided_at)
        rows = select(ConversationTurn.conversation).group_by(ConversationTurn.conversation)
        async with self._database.read() as session:
            return list((await session.scalars(rows.having(newest < before))).all())

    def _take(self, credential: str, rows: Iterable[ConversationTurn]) -> None:
        by_prefix: defaultdict[str, list[TurnRecord]] = defaultdict(list)
        for row in rows:
            by_prefix[row.prefix].append(_record(row))
        for prefix, records in by_prefix.items():
            self._keep(credential, prefix, tuple(records))

    def _keep(self, credential: str, prefix: str, records: Versions) -> None:
        self._known[credential, prefix] = records
        self._known.move_to_end((credential, prefix))
        while len(self._known) > self._max_records:
            self._known.popitem(last=False)


def _check_time(until: float | None) -> None:
    """Raise TooLate, which rolls a transaction back, where its outcome would come after the deadline."""
    if until is not None and asyncio.get_running_loop().time() > until - _COMMIT_S:
        raise TooLate("the decision could not be stored in time, so it is not made")


def _is_row(credential: str, record: TurnRecord) -> tuple[ColumnElement[bool], ...]:
    return (
        ConversationTurn.credential == credential,
        ConversationTurn.prefix == record.prefix,
        ConversationTurn.version == record.version,
    )


def _columns(record: TurnRecord) -> Mapping[str, object]:
    return {
        "prefix": record.prefix,
        "version": record.version,
        "conversation": record.conversation,
        "decided_at": record.decided_at,
        "text": record.text,
        "tokens": record.tokens,
        "stated": [list(each) for each in record.stated],
        "kinds": list(record.kinds),
        "reply": record.reply,
        "cuts": [cut.to_json() for cut in record.cuts],
        "cut_count": len(record.cuts),
        "recalled": list(record.recalled),
    }


def _record(row: ConversationTurn) -> TurnRecord:
    return TurnRecord(
        prefix=row.prefix,
        decided_at=row.decided_at,
        conversation=row.conversation,
        text=row.text,
        tokens=row.tokens,
        stated=tuple(Stated(*each) for each in row.stated),
        kinds=tuple(row.kinds),
        version=row.version,
        reply=row.reply,
        cuts=tuple(map(Cut.from_json, row.cuts)),
        recalled=tuple(row.recalled),
    )
