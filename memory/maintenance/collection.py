"""Makes a collection of the index equal to the entries of the database, and verifies it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from memory.entries.changes import Changes, Progress
from memory.entries.entries import Entries, EntryText
from memory.errors import MemoryUnavailable
from memory.index.contract import IndexRows, Neighbor, VectorIndex

_ROWS_PER_STEP = 100

_SAMPLE = 50
"""Rows that must find themselves. Lost rows come in runs of hundreds, so that an even sample meets them."""
_NEIGHBORS = 10
_IDENTICAL = 0.9999


async def update(index: VectorIndex, name: str, entries: Entries, progress: Progress) -> Changes:
    """Create a collection if needed, make it equal to the entries, and verify it. Safe to kill and repeat.

    Raises MemoryUnavailable.
    """
    await index.create(name)
    wanted = await entries.texts()
    stored = await index.stamps(name)
    surplus = sorted(stored.keys() - wanted.keys())
    held = {key: text for key, text in wanted.items() if stored.get(key) == text.stamp}
    # In the order of their hashes, which is random: recurrences in a row make a graph that loses some.
    stale = sorted(wanted.keys() - held.keys())
    await index.delete(name, surplus)
    progress(len(held), len(wanted))
    for start in range(0, len(stale), _ROWS_PER_STEP):
        batch = {key: wanted[key] for key in stale[start : start + _ROWS_PER_STEP]}
        for key in await _store(index, name, entries, batch):
            held[key] = wanted[key]
        progress(len(wanted) - len(stale) + start + len(batch), len(wanted))
    await _verify(index, name, entries, held)
    return Changes(
        entries=sum(text.incidents for text in held.values()), upserted=len(stale), deleted=len(surplus)
    )


async def update_rows(index: VectorIndex, name: str, entries: Entries, keys: Collection[str]) -> Changes:
    """Make the rows of some keys equal to the entries. Safe to kill, to repeat and to run concurrently."""
    wanted = await entries.texts(keys)
    changes = Changes()
    while True:
        applied = wanted
        await index.delete(name, sorted(set(keys) - wanted.keys()))
        stored = await _store(index, name, entries, wanted)
        changes += Changes(upserted=len(stored), deleted=len(keys) - len(wanted))
        # The last writer of a row has read the entries after it: a slower process undoes nothing.
        wanted = await entries.texts(keys)
        if wanted == applied:
            return changes + Changes(entries=sum(text.incidents for text in wanted.values()))


async def self_hit_rate(
    index: VectorIndex, name: str, entries: Entries, held: Mapping[str, EntryText]
) -> float:
    """Return the share of an even sample of the rows held that their own vector finds; 1.0 without rows."""
    entry_ids = sorted(text.entry_id for text in held.values())
    step = max(1, len(entry_ids) // _SAMPLE)
    sample = await entries.vectors(entry_ids[::step][:_SAMPLE])
    if not sample:
        return 1.0
    answers = await index.query(name, np.stack(list(sample.values())), limit=_NEIGHBORS)
    return sum(map(_finds_itself, sample, answers)) / len(sample)


def _finds_itself(key: str, neighbors: list[Neighbor]) -> bool:
    """Return True if a row is among its neighbors, or too many of these have the very same vector."""
    identical = [each for each in neighbors if each.similarity >= _IDENTICAL]
    return len(identical) == _NEIGHBORS or any(each.key == key for each in identical)


async def _verify(index: VectorIndex, name: str, entries: Entries, held: Mapping[str, EntryText]) -> None:
    """Raise MemoryUnavailable if the index has lost rows, which its own counts need not show."""
    rate = await self_hit_rate(index, name, entries, held)
    lost: set[str] = set()
    if await index.count(name) != len(held):
        # Another sync may have removed rows whose last incident is gone: those are not lost.
        lost = (held.keys() & (await entries.texts()).keys()) - (await index.stamps(name)).keys()
    if rate < index.min_self_hit_rate or lost:
        raise MemoryUnavailable(
            f"the memory index has lost rows ({len(lost)} of {len(held)} are gone, {rate:.0%} of a sample "
            "can be found); run `arcpoint memory rebuild`"
        )


async def _store(
    index: VectorIndex, name: str, entries: Entries, texts: Mapping[str, EntryText]
) -> Collection[str]:
    """Store the rows of those texts whose entry still exists; return their keys."""
    vectors = await entries.vectors([text.entry_id for text in texts.values()])
    found = {key: texts[key] for key in texts if key in vectors}
    if found:
        rows = IndexRows(
            keys=list(found),
            vectors=np.stack([vectors[key] for key in found]),
            stamps=[text.stamp for text in found.values()],
            known_at=[text.first_known_at for text in found.values()],
        )
        await index.upsert(name, rows)
    return found.keys()
