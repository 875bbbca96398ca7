"""Why incident memory cannot answer.

MemoryUnavailable
    MemoryCorrupt
    CollectionMissing
    MemoryReadOnly
UnknownIncident
UnknownIndex
"""

from __future__ import annotations


class MemoryUnavailable(Exception):
    """Memory cannot be used now; the message says in one line why and what to do."""


class MemoryCorrupt(MemoryUnavailable):
    """What the index has stored cannot be read; a rebuild makes it anew from the database."""


class CollectionMissing(MemoryUnavailable):
    """The index has no collection of that name; a rebuild makes one from the database."""


class MemoryReadOnly(MemoryUnavailable):
    """Memory was opened for reading only, as an evaluation does."""


class UnknownIncident(Exception):
    """There is no incident of that id, or its texts were erased; nothing was changed."""


class UnknownIndex(Exception):
    """There is no kept index of that name to do this with; nothing was changed."""
