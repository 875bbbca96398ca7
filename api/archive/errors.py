"""What can go wrong with an archive.

ArcpointApiError
├── ArchiveError        the archive as a whole cannot be used; nothing was written
├── DocumentRejected    one document cannot be imported; the others are
└── DocumentSkipped     one file is no document of an incident
"""

from __future__ import annotations

from dataclasses import dataclass

from api.errors import ArcpointApiError


class ArchiveError(ArcpointApiError):
    """A path or an option cannot be used; the message says what is accepted."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file of an archive, as the caller names it, and a line of it."""

    path: str
    line: int | None = None
    """Counted from 1. None for a key of front matter."""

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"

    def at(self, line: int | None) -> Location:
        """Return another line of the same file."""
        return Location(self.path, line)


class DocumentRejected(ArcpointApiError):
    """One document cannot be imported; says where, which field, and what is accepted."""

    def __init__(self, location: Location, field: str, reason: str) -> None:
        super().__init__(f"{location}: {field}: {reason}")
        self.location = location
        self.field = field
        self.reason = reason


class DocumentSkipped(ArcpointApiError):
    """A file of an archive is not about an incident, and is left out; says why."""

    def __init__(self, location: Location, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason
