"""Keeps collections of the index equal to the entries of the database, and checks that they are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from memory.entries.entries import Entries, EntryText, Progress
from memory.errors import MemoryUnavailable
from memory.index.contract import Hit, IndexRows, VectorIndex

_ROWS_PER_STEP = 100
_BUILDING = "-building-"
_under_construction: set[str] = set()
"""Collections that this process is building; in a folder, which it alone owns, others are a dead one's."""

_ABANDONED_AFTER = timedelta(days=1)

_SAMPLE = 50
"""Rows that must find themselves. Lost rows come in runs of hundreds, so that an even sample meets them."""
_ALIKE = 10
_IDENTICAL = 0.9999


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What bringing a collection up to date has changed."""

    incidents: int
    """Resolved incidents behind its rows now."""
    upserted: int
    deleted: int

    def __add__(self, other: RowChanges) -> RowChanges:
        return RowChanges(
            self.incidents + other.incidents, self.upserted + other.upserted, self.deleted + other.deleted
        )


async def build(index: VectorIndex, name: str, entries: Entries, progress: Progress) -> RowChanges:
    """Makes a collection of all entries. It gets its name when it is complete and verified."""
    unfinished = f"{name}{_BUILDING}{int(time.time())}-{secrets.token_hex(4)}"
    with construction(unfinished):
        await index.create(unfinished)
        changes = await update(index, unfinished, entries, progress)
        await index.rename(unfinished, name)
    return changes


async def update(index: VectorIndex, name: str, entries: Entries, progress: Progress) -> RowChanges:
    """Makes a collection equal to the entries, and verifies it. Safe to kill and repeat."""
    wanted = await entries.texts()
    stored = await index.stamps(name)
    surplus = sorted(stored.keys() - wanted.keys())
    held = {key for key, text in wanted.items() if stored.get(key) == text.stamp}
    # In the order of their hashes, which is chance: recurrences in a row make a graph that loses some.
    stale = sorted(key for key in wanted if key not in held)
    await index.delete(name, surplus)
    progress(len(held), len(wanted))
    for start in range(0, len(stale), _ROWS_PER_STEP):
        batch = {key: wanted[key] for key in stale[start : start + _ROWS_PER_STEP]}
        rows = await _rows(entries, batch)
        if rows.keys:
            await index.upsert(name, rows)
        held.update(rows.keys)
        progress(len(wanted) - len(stale) + start + len(batch), len(wanted))
    await _verify(index, name, entries, held)
    return RowChanges(
        incidents=sum(wanted[key].incidents for key in held), upserted=len(stale), deleted=len(surplus)
    )


async def apply(index: VectorIndex, name: str, entries: Entries, keys: Collection[str]) -> RowChanges:
    """Makes the rows of some keys equal to the entries. Safe to kill, to repeat and to run twice at once."""
    wanted = await entries.texts(keys)
    upserted = deleted = 0
    while True:
        applied = wanted
        rows = await _rows(entries, wanted)
        await index.delete(name, sorted(set(keys) - wanted.keys()))
        if rows.keys:
            await index.upsert(name, rows)
        upserted, deleted = upserted + len(rows.keys), deleted + len(keys) - len(wanted)
        # Whoever wrote a row last has looked at the entries after it: a slower process undoes nothing.
        wanted = await entries.texts(keys)
        if wanted == applied:
            return RowChanges(sum(text.incidents for text in wanted.values()), upserted, deleted)


async def drop_leftovers(
    index: VectorIndex, dropped: frozenset[str], unserved: Mapping[str, datetime]
) -> tuple[str, ...]:
    """Drops copies of dropped collections, and what killed processes have left; gives the unserved ones."""
    left = tuple(name for name, begun in unserved.items() if _is_abandoned(name, begun, index))
    for name in sorted(await index.collections()):
        begun = datetime.fromtimestamp(_begun(name), UTC)
        if name in dropped or name in left or (_BUILDING in name and _is_abandoned(name, begun, index)):
            await index.drop(name)
    return left


def _begun(unfinished: str) -> int:
    stamp = unfinished.rpartition(_BUILDING)[2].partition("-")[0]
    return int(stamp) if stamp.isdigit() else 0


def _is_abandoned(name: str, begun: datetime, index: VectorIndex) -> bool:
    """Nobody else can be at work on it; where others may use the same index, nobody builds for a day."""
    if name in _under_construction:
        return False
    return index.is_exclusive or datetime.now(UTC) - begun > _ABANDONED_AFTER


@contextmanager
def construction(name: str) -> Iterator[None]:
    """While it lasts, a collection that does not serve yet is no leftover to this process."""
    _under_construction.add(name)
    try:
        yield
    finally:
        _under_construction.discard(name)


async def self_hit_rate(index: VectorIndex, name: str, entries: Entries, held: Collection[str]) -> float:
    """Share of an even sample of the rows held that the index finds by their own vector.

    Rows whose text no incident has any more are passed over; 1.0 when none is left.
    """
    texts = await entries.texts()
    entry_ids = sorted(text.entry_id for key, text in texts.items() if key in held)
    step = max(1, len(entry_ids) // _SAMPLE)
    sample = await entries.vectors(entry_ids[::step][:_SAMPLE])
    keys = [key for key in sample if key in held]
    if not keys:
        return 1.0
    answers = await index.query(name, np.stack([sample[key] for key in keys]), limit=_ALIKE)
    found = [_finds_itself(key, hits) for key, hits in zip(keys, answers, strict=True)]
    return sum(found) / len(found)


def _finds_itself(key: str, hits: list[Hit]) -> bool:
    """Among more texts with the very same vector than we look at, any of them will do."""
    identical = [hit for hit in hits if hit.similarity >= _IDENTICAL]
    return len(identical) == _ALIKE or any(hit.key == key for hit in identical)


async def _verify(index: VectorIndex, name: str, entries: Entries, held: AbstractSet[str]) -> None:
    """Raises MemoryUnavailable when the index has lost rows, which its own counts need not show."""
    rate = await self_hit_rate(index, name, entries, held)
    lost: set[str] = set()
    if await index.count(name) != len(held):
        # Another sync may have removed rows that no incident stands behind any more: those are not lost.
        lost = (held & (await entries.texts()).keys()) - (await index.stamps(name)).keys()
    if rate < index.least_self_hits or lost:
        raise MemoryUnavailable(
            f"the memory index has lost rows ({len(lost)} of {len(held)} are gone, {rate:.0%} of a sample "
            "can be found); run `arcpoint memory rebuild`"
        )


async def _rows(entries: Entries, texts: Mapping[str, EntryText]) -> IndexRows:
    """The rows of those texts whose entry is still what it was."""
    vectors = await entries.vectors([text.entry_id for text in texts.values()])
    keys = [key for key in texts if key in vectors]
    return IndexRows(
        keys=keys,
        vectors=np.stack([vectors[key] for key in keys]) if keys else np.zeros((0, 0), dtype=np.float32),
        stamps=[texts[key].stamp for key in keys],
        known_at=[texts[key].first_known_at for key in keys],
    )
