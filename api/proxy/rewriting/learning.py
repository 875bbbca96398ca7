"""Which kinds of facts replies use, and what that means for later conversations. No model is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from context_builder.conversation.record import TurnRecord
from models import ConversationFact
from models.database import Database
from models.request_log import dialect_of

MIN_SHOWN = 5
"""Facts of a kind that were shown before what is learnt about it counts."""
MIN_WEIGHT, MAX_WEIGHT = 0.5, 1.5
"""Weights of a kind that no reply used, and of one that every reply used."""

_DISTINCT = re.compile(r"[\w.]+(?:[-/:_][\w.]+)+|\d[\d,.:]*\d%?")
"""Names such as `gpt-4/aws` and figures of two characters or more: chance does not repeat them."""


@dataclass(frozen=True, slots=True)
class LearnedKind:
    """What was learnt about one kind of fact."""

    kind: str
    shown: int
    used: int

    @property
    def weight(self) -> float:
        """The factor of its importance in later conversations."""
        if self.shown < MIN_SHOWN:
            return 1.0
        return MIN_WEIGHT + (MAX_WEIGHT - MIN_WEIGHT) * self.used / self.shown


def used_kinds(record: TurnRecord, reply: str) -> tuple[Counter[str], Counter[str]]:
    """Count the facts of a turn by kind: those shown, and those whose names or figures the reply repeats."""
    said = _distinct(reply)
    lines = [line for line in (record.text or "").split("\n") if line.startswith("- ")]
    shown, used = Counter[str](), Counter[str]()
    for kind, line in zip(record.kinds, lines, strict=False):
        shown[kind] += 1
        used[kind] += bool(said & _distinct(line))
    return shown, used


def _distinct(text: str) -> set[str]:
    return {found.rstrip(".,:") for found in _DISTINCT.findall(text)}


class Learning:
    """What replies used, by credential."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._weights: dict[str, dict[str, float]] = {}

    def weights(self, credential: str) -> Mapping[str, float]:
        """Return the weights of kinds of facts, as last read."""
        return self._weights.get(credential, {})

    async def note(self, credential: str, record: TurnRecord, reply: str) -> None:
        """Add up what a reply used of a turn's facts."""
        shown, used = used_kinds(record, reply)
        async with self._database.write() as session:
            insert = dialect_of(session).insert(ConversationFact)
            for kind, count in shown.items():
                values = {"credential": credential, "conversation": record.conversation, "kind": kind}
                await session.execute(
                    insert.values(**values, shown=count, used=used[kind]).on_conflict_do_update(
                        index_elements=["conversation", "kind"],
                        set_={
                            "shown": ConversationFact.shown + count,
                            "used": ConversationFact.used + used[kind],
                        },
                    )
                )
        self._weights[credential] = {kind.kind: kind.weight for kind in await self.learned(credential)}

    async def learned(self, credential: str | None = None) -> list[LearnedKind]:
        """Return what is known of each kind, of one credential or of all."""
        totals = select(
            ConversationFact.kind, func.sum(ConversationFact.shown), func.sum(ConversationFact.used)
        )
        if credential is not None:
            totals = totals.where(ConversationFact.credential == credential)
        async with self._database.read() as session:
            rows = await session.execute(
                totals.group_by(ConversationFact.kind).order_by(ConversationFact.kind)
            )
            return [LearnedKind(kind, int(shown), int(used)) for kind, shown, used in rows]
