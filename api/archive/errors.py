"""What can go wrong with an archive.

ArchiveError        the archive as a whole cannot be used; nothing was written
DocumentRejected    one file or one line cannot be taken; the others are
"""

from __future__ import annotations

from dataclasses import dataclass


class ArchiveError(ValueError):
    """A path or an option cannot be used; the message says what would be accepted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands."""

    path: str
    """As the caller names it."""
    line: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def at(self, line: int) -> Place:
        """Another line of the same file."""
        return Place(self.path, line)


class DocumentRejected(Exception):
    """One document cannot be taken; says where, which field, and what would be accepted."""

    def __init__(self, place: Place, field: str, reason: str) -> None:
        super().__init__(f"{place}: {field}: {reason}")
        self.place = place
        self.field = field
        self.reason = reason
