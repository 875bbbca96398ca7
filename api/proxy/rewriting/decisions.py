"""What is decided about the turns of one request: known, stored, or found to be undecided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from api.proxy.rewriting.in_time import InTime, Unavailable
from api.proxy.rewriting.turn_store import TurnStore, Versions
from context_builder.conversation.cut import Cut, latest_cut
from context_builder.conversation.gateway_state import Block
from context_builder.conversation.record import TurnRecord, choose_version, conversation_id
from context_builder.conversation.turns import Transcript
from context_builder.text.clock import utc_now

FRESH = timedelta(hours=1)
"""How long a conversation that begins with the same words is taken for the same one: the longest cache."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where a process keeps decisions, and how it waits for that."""

    store: TurnStore
    waits: InTime
    clock: Callable[[], datetime] = utc_now
    counts: Counter[str] = field(default_factory=Counter)
    """What happened, in words: `no store`, `cut`."""


class Decisions:
    """The decisions about the turns of one request, by index of the turn's message."""

    def __init__(self, keeping: Keeping, credential: str, transcript: Transcript, until: float) -> None:
        """Wait for the store no longer than the loop's clock says `until`."""
        self.records: dict[int, TurnRecord] = {}
        self.is_complete = True
        """False if the store could not be asked: then nothing new is decided."""
        self._keeping = keeping
        self._store = keeping.store
        self._credential = credential
        self._transcript = transcript
        self._until = until

    @property
    def cut(self) -> Cut | None:
        """The newest cut of this conversation."""
        cuts = [cut for record in self.records.values() for cut in record.cuts]
        return latest_cut(self._transcript, cuts)

    @property
    def conversation(self) -> str:
        """The id of the conversation, from the decision about its first turn if there is one."""
        first = next((self.records[turn] for turn in self._transcript.turns if turn in self.records), None)
        if first is not None:
            return first.conversation
        return conversation_id(self._credential, self._transcript.digests[self._transcript.turns[0]])

    async def load(self) -> None:
        """Find the decisions; older turns that nobody decided about are decided: nothing."""
        transcript = self._transcript
        prefixes = [transcript.digests[turn] for turn in transcript.turns]
        versions = self._store.known(self._credential, prefixes)
        if missing := [prefix for prefix in prefixes if prefix not in versions]:
            self.is_complete = await self._read(missing)
            versions |= self._store.known(self._credential, missing)
        self._choose(versions)
        if self.is_complete:
            older = (turn for turn in transcript.turns if turn != transcript.newest)
            nothing = [self._know(self.undecided(turn), turn) for turn in older if turn not in self.records]
            self._store_later(nothing)

    async def reload(self, turn: int) -> bool:
        """Read the decision about a turn again, which another worker may have changed."""
        prefix = self._transcript.digests[turn]
        found = await self._read([prefix])
        self._choose(self._store.known(self._credential, [prefix]))
        return found

    def undecided(self, turn: int) -> TurnRecord:
        """Return what a turn has before anything is decided: nothing."""
        digests, turns = self._transcript.digests, self._transcript.turns
        earlier = self._store.known(self._credential, [digests[turn]]).get(digests[turn], ())
        version = max((record.version for record in earlier), default=-1) + 1
        conversation = self.conversation
        if turn == turns[0]:
            conversation = conversation_id(self._credential, digests[turn], version)
        reply = digests[turn + 1] if turn + 1 < len(digests) else None
        return TurnRecord(digests[turn], self._keeping.clock(), conversation, version=version, reply=reply)

    async def decide(self, turn: int, block: Block | None, recalled: Sequence[int] = ()) -> None:
        """Decide what is inserted behind a turn: what is stored first, or nothing if that is not certain."""
        record = self.undecided(turn)
        if block is None and not recalled:
            self._store_later([self._know(record, turn)])
            return
        found = replace(record, recalled=tuple(recalled))
        if block:
            found = replace(
                found, text=block.text, tokens=block.tokens, stated=block.stated, kinds=block.kinds
            )
        storing = self._store.decide(self._credential, [found], self._until)
        try:
            await self._keeping.waits.result(storing, self._until, "a decision")
        except Unavailable:  # what no other worker could insert again is not inserted
            self._keeping.counts["not stored"] += 1
            self._know(record, turn)
        else:
            self._take(turn, record)

    async def add_cut(self, cut: Cut) -> Cut | None:
        """Return a cut once it is stored, or that of a worker which was first; None if neither can be had."""
        turn = self._transcript.turns[-1]
        record = self.records.get(turn) or self._know(self.undecided(turn), turn)
        storing = self._store.add_cut(self._credential, record, cut, self._until)
        try:
            is_first = await self._keeping.waits.result(storing, self._until, "a cut")
        except Unavailable:
            self._keeping.counts["not stored"] += 1
            return None
        self._keeping.counts["cut"] += is_first
        self._take(turn, record)
        return self.cut

    async def _read(self, prefixes: list[str]) -> bool:
        """Read decisions from the database; False if they cannot be had in time."""
        loading = self._store.load(self._credential, prefixes)
        try:
            await self._keeping.waits.result(loading, self._until, "stored turns")
        except Unavailable:
            self._keeping.counts["no store"] += 1
            return False
        return True

    def _choose(self, versions: Mapping[str, Versions]) -> None:
        """Choose the versions of this conversation, and store what went on from which."""
        digests, bound = self._transcript.digests, []
        for turn in self._transcript.turns:
            follows = turn + 1 < len(digests)
            reply = digests[turn + 1] if follows else None
            record = choose_version(versions.get(digests[turn], ()), reply)
            if record is None or (not follows and self._keeping.clock() - record.decided_at > FRESH):
                continue
            if reply and record.reply is None:
                record = replace(record, reply=reply)
                self._store.remember(self._credential, record)
                bound.append(record)
            self.records[turn] = record
        if bound:
            self._keeping.waits.later(self._store.bind(self._credential, bound), "storing replies")

    def _store_later(self, nothing: Sequence[TurnRecord]) -> None:
        """Store that nothing was decided, in one transaction with what other conversations have of that."""
        if self._store.queue(self._credential, nothing):
            self._keeping.waits.later(self._store.decide_queued(), "storing turns")

    def _know(self, record: TurnRecord, turn: int) -> TurnRecord:
        self.records[turn] = record
        self._store.remember(self._credential, record)
        return record

    def _take(self, turn: int, record: TurnRecord) -> None:
        """Take over the decision that is stored, of whichever worker."""
        stored = self._store.known(self._credential, [record.prefix])[record.prefix]
        self.records[turn] = next(each for each in stored if each.version == record.version)
