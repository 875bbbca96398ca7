"""Keeps collections of the index equal to the entries of the database, and checks that they are."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from memory.entries import Entries, Progress, StoredEntry
from memory.errors import MemoryUnavailable
from memory.index import Hit, IndexRows, VectorIndex

_ROWS_PER_STEP = 100
_BUILDING = "-building-"
_under_construction: set[str] = set()
"""Unfinished collections of this process, which alone owns its folder; any others were left by a dead one."""

_SAMPLE = 50
"""Rows that must find themselves. Lost rows come in runs of hundreds, so that an even sample meets them."""
_ALIKE = 10
_IDENTICAL = 0.9999


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What bringing a collection up to date has changed."""

    rows: int
    """Rows that it holds now."""
    upserted: int
    deleted: int


async def build(index: VectorIndex, name: str, entries: Entries, progress: Progress) -> RowChanges:
    """Makes a collection of all entries. It gets its name when it is complete and verified."""
    unfinished = f"{name}{_BUILDING}{secrets.token_hex(4)}"
    _under_construction.add(unfinished)
    try:
        await index.create(unfinished)
        changes = await update(index, unfinished, entries, progress)
        await index.rename(unfinished, name)
    finally:
        _under_construction.discard(unfinished)
    return changes


async def update(index: VectorIndex, name: str, entries: Entries, progress: Progress) -> RowChanges:
    """Makes a collection equal to the entries, and verifies it. Safe to kill and repeat."""
    wanted = await entries.stamps()
    stored = await index.stamps(name)
    surplus = sorted(stored.keys() - wanted.keys())
    stale = sorted(incident_id for incident_id, stamp in wanted.items() if stored.get(incident_id) != stamp)
    held = {incident_id: stamp for incident_id, stamp in stored.items() if incident_id in wanted}
    await index.delete(name, surplus)
    done = len(wanted) - len(stale)
    progress(done, len(wanted))
    for start in range(0, len(stale), _ROWS_PER_STEP):
        batch = stale[start : start + _ROWS_PER_STEP]
        found = await entries.load(batch)
        if found:
            await index.upsert(name, _rows(found))
        held |= {entry.incident_id: entry.stamp for entry in found}
        progress(done + start + len(batch), len(wanted))
    await _verify(index, name, entries, held)
    return RowChanges(rows=len(held), upserted=len(stale), deleted=len(surplus))


async def drop_leftovers(index: VectorIndex, superseded: frozenset[str]) -> None:
    """Drops collections that served once, and those that a killed process did not finish."""
    for name in sorted(await index.collections()):
        unfinished = _BUILDING in name and name not in _under_construction
        if unfinished or name in superseded:
            await index.drop(name)


async def self_hit_rate(index: VectorIndex, name: str, entries: Entries, held: Mapping[int, str]) -> float:
    """Share of an even sample of the rows held that the index finds by their own vector.

    `held` is the stamp of each row. Rows whose entry has changed since are passed over; 1.0 when none
    is left.
    """
    incident_ids = sorted(held)
    step = max(1, len(incident_ids) // _SAMPLE)
    loaded = await entries.load(incident_ids[::step][:_SAMPLE])
    sample = [entry for entry in loaded if entry.stamp == held[entry.incident_id]]
    if not sample:
        return 1.0
    answers = await index.query(name, np.stack([entry.vector for entry in sample]), limit=_ALIKE)
    found = [_finds_itself(entry, hits) for entry, hits in zip(sample, answers, strict=True)]
    return sum(found) / len(found)


def _finds_itself(entry: StoredEntry, hits: list[Hit]) -> bool:
    """Among more incidents with the very same text than we look at, any of them will do."""
    identical = [hit for hit in hits if hit.similarity >= _IDENTICAL]
    return len(identical) == _ALIKE or any(hit.incident_id == entry.incident_id for hit in identical)


async def _verify(index: VectorIndex, name: str, entries: Entries, held: Mapping[int, str]) -> None:
    """Raises MemoryUnavailable when the index has lost rows, which its own counts need not show."""
    rate = await self_hit_rate(index, name, entries, held)
    lost: set[int] = set()
    if await index.count(name) != len(held):
        # Another sync may have removed rows of incidents that are no longer resolved: those are not lost.
        lost = (held.keys() & (await entries.stamps()).keys()) - (await index.stamps(name)).keys()
    if rate < 1.0 or lost:
        raise MemoryUnavailable(
            f"the memory index has lost rows ({len(lost)} of {len(held)} are gone, {rate:.0%} of a sample "
            "can be found); run `arcpoint memory rebuild`"
        )


def _rows(found: list[StoredEntry]) -> IndexRows:
    return IndexRows(
        incident_ids=[entry.incident_id for entry in found],
        vectors=np.stack([entry.vector for entry in found]),
        stamps=[entry.stamp for entry in found],
        resolved_at=[entry.resolved_at for entry in found],
    )
