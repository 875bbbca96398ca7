"""Additions to buckets, which exist or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.request_log.bulk import Bulk, BulkTable, Values

Merge = Callable[[Values, Values], Values]
"""Returns the `others` of a bucket from those stored and those added."""


async def add_to_buckets(
    bulk: Bulk, table: BulkTable, additions: Mapping[Values, Values], merge: Merge
) -> None:
    """Insert buckets that do not exist, and add to the others.

    `additions` are sums and others by key. First all are inserted that can be, then the others are locked,
    both in the order of their keys: so two writers wait for each other in one direction only. A bucket
    that a third one removes in between is tried again.
    """
    left = sorted(additions)
    width = len(table.sums)
    while left:
        inserted = await bulk.insert_new(table, [(*key, *additions[key]) for key in left])
        left = [key for key in left if key not in inserted]
        if not left:
            return
        found = await bulk.find(table, left)
        changed = [
            (*additions[key][:width], *merge(stored[1:], additions[key][width:]), stored[0])
            for key, stored in found.items()
        ]
        if changed:
            await bulk.update(table, changed)
        left = [key for key in left if key not in found]
