"""Walks the chain of the audit trail and finds the first entry that breaks it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import true

from api.errors import ArcpointApiError
from models import AuditEntry
from models.audit_chain import BEFORE_THE_FIRST, ENTRIES, ChainedEntry
from models.database import Database

_ROWS_AT_ONCE = 1_000
_NEARBY = 1_000
"""Places before and after an entry where it is looked for if it is not where it was written."""


class BadAnchor(ArcpointApiError, ValueError):
    """Text that is no anchor."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry of the chain, to be kept elsewhere: what follows can be cut off the database, not off this."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read what `str` writes. Raises BadAnchor."""
        number, _, digest = text.strip().partition(":")
        is_hash = len(digest) == len(BEFORE_THE_FIRST) and set(digest) <= set("0123456789abcdef")
        if not (number.isascii() and number.isdecimal() and is_hash and len(number) < 19):  # noqa: PLR2004
            raise BadAnchor(
                f"{text[:100]!r} is no anchor; give what `arcpoint audit head` printed: a number, a colon "
                f"and {len(BEFORE_THE_FIRST)} hexadecimal digits"
            )
        return cls(int(number), digest)


_UNREADABLE = "it, or one soon after it, holds what was never written there"

EMPTY = Anchor(0, BEFORE_THE_FIRST)
"""The end of a chain without entries."""


class Fault(StrEnum):
    """What is wrong with the chain."""

    ALTERED = "altered"
    MISSING = "missing"
    REORDERED = "reordered"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that does not fit."""

    sequence: int
    fault: Fault
    explanation: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along the chain found."""

    entries: int
    """Entries that are in order."""
    end: Anchor
    """The last of them."""
    broken: Break | None = None


async def verify(entries: AsyncIterable[ChainedEntry], start: Anchor = EMPTY) -> Verdict:
    """Walk along entries in the order of their numbers, from the one after `start`, to the first break."""
    end, count = start, 0
    try:
        async for entry in entries:
            if broken := _break(entry, end):
                return Verdict(count, end, broken)
            end, count = Anchor(entry.sequence, entry.hash), count + 1
    except (ValueError, TypeError):  # what a driver or the hash makes of a value of another type
        return Verdict(count, end, Break(end.sequence + 1, Fault.ALTERED, _UNREADABLE))
    return Verdict(count, end)


def _break(entry: ChainedEntry, last: Anchor) -> Break | None:
    """Return what is wrong with the entry after `last`."""
    due = last.sequence + 1
    if entry.sequence > due:
        gone = str(due) if entry.sequence == due + 1 else f"{due} to {entry.sequence - 1}"
        return Break(due, Fault.MISSING, f"entry {gone} was removed: the next one is {entry.sequence}")
    if entry.sequence < due:
        return Break(entry.sequence, Fault.FORKED, "there is a second entry of this number")
    if entry.digest() != entry.hash:
        places = range(max(1, due - _NEARBY), due + _NEARBY)
        written = next((place for place in places if entry.digest(place) == entry.hash), None)
        if written is not None:
            return Break(due, Fault.REORDERED, f"it was written as entry {written}")
        return Break(due, Fault.ALTERED, "its hash is not that of what it says")
    if entry.previous != last.hash:
        return Break(
            due, Fault.FORKED, f"it continues another entry {last.sequence} than the one that is there now"
        )
    return None


async def head(database: Database) -> Anchor:
    """Return the end of the chain."""
    async with database.read() as session:
        row = (await session.execute(ENTRIES.order_by(AuditEntry.sequence.desc()).limit(1))).one_or_none()
    return EMPTY if row is None else Anchor(row.sequence, row.hash)


async def verify_database(database: Database, anchor: Anchor | None = None) -> Verdict:
    """Verify the chain of a database, streaming; with an anchor only that it is there and what follows it."""
    start = anchor or EMPTY
    if start.sequence:
        async with database.read() as session:
            row = (await session.execute(ENTRIES.where(AuditEntry.sequence == start.sequence))).one_or_none()
        if row is None:
            explanation = "the trail ends before the anchor: its end was cut off, or it is another trail"
            return Verdict(0, EMPTY, Break(start.sequence, Fault.MISSING, explanation))
        entry = ChainedEntry(**row._asdict())
        if entry.hash != start.hash or entry.digest() != entry.hash:
            explanation = "it is not the entry of the anchor: what was there has been written again"
            return Verdict(0, EMPTY, Break(start.sequence, Fault.ALTERED, explanation))
    return await verify(_entries(database, start.sequence), start)


async def _entries(database: Database, after: int) -> AsyncIterator[ChainedEntry]:
    # From the beginning there is no lower bound: an entry before the first was put in.
    behind = AuditEntry.sequence > after if after else true()
    query = ENTRIES.where(behind).order_by(AuditEntry.sequence)
    async with database.read() as session:
        rows = await session.stream(query.execution_options(yield_per=_ROWS_AT_ONCE))
        async for row in rows:
            yield ChainedEntry(**row._asdict())
