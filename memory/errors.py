"""Errors of incident memory.

MemoryFailure
    MemoryUnavailable
        MemoryCorrupt
        CollectionMissing
        MemoryReadOnly
    UnknownIncident
    UnknownIndex
    UnusableReviewer (also a ValueError)
    IndexFault: between the parts of an index, never raised to callers
        WorkerDied
    ExportUnusable: the exported model; questions are then embedded without it
"""

from __future__ import annotations

from typing import Literal

FaultKind = Literal["refused", "missing", "corrupt", "failed"]
"""Unusable folder or server; no such collection; unreadable data; failure of one call."""


class MemoryFailure(Exception):
    """Base of all errors of incident memory; the message is one line that says what is wrong."""


class MemoryUnavailable(MemoryFailure):
    """Memory cannot be used now; the message says why and what to do."""


class MemoryCorrupt(MemoryUnavailable):
    """The index cannot be read; a rebuild restores it from the database."""


class CollectionMissing(MemoryUnavailable):
    """The index has no collection of that name; a rebuild creates one from the database."""


class MemoryReadOnly(MemoryUnavailable):
    """Memory was opened for reading only, as an evaluation does."""


class UnknownIncident(MemoryFailure):
    """No incident has that id, or its texts were erased; nothing was changed."""


class UnknownIndex(MemoryFailure):
    """No kept index of that name can be used for this; nothing was changed."""


class UnusableReviewer(MemoryFailure, ValueError):
    """A text that cannot be a reviewer's name; the message says what is accepted."""


class IndexFault(MemoryFailure):
    """What Chroma, or the process that runs it, reports; an index translates it into MemoryUnavailable."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class WorkerDied(IndexFault):
    """The worker process ended before it answered; a new one may succeed."""

    def __init__(self, message: str, *, by_signal: bool) -> None:
        super().__init__("failed", message)
        self.by_signal = by_signal
