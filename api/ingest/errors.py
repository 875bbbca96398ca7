"""What can go wrong in a load.

IngestError
├── MappingError    the mapping does not fit the fields or the file; nothing was written
├── InputError      the file cannot be used; nothing was written
└── LoadStopped     the database or a disk failed on the way; what was stored stays
RowRejected         one row is set aside, the load goes on
└── ZoneOrUnitMissing   the mapping should have said how to read a time
"""

from __future__ import annotations

from api.errors import ArcpointApiError

_SHOWN_CHARACTERS = 60


class IngestError(ArcpointApiError):
    """The load cannot be done; the message is one line that says what would be accepted."""


class MappingError(IngestError):
    """The mapping is wrong; it names the field or the column."""


class InputError(IngestError):
    """The file is missing, empty, unreadable or not what it claims to be."""


class LoadStopped(IngestError):
    """The load stopped on the way; running it again continues."""


class RowRejected(Exception):
    """One row cannot be loaded; `kind` is counted in the summary, `reason` goes to the rejects file."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.reason = f"{kind}: {detail}" if detail else kind


class ZoneOrUnitMissing(RowRejected):
    """A time that can only be read once the mapping states its zone or its unit."""


def shown(text: str) -> str:
    """Text of a file as a message shows it: quoted, escaped and short."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
