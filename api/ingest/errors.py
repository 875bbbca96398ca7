"""What ends a load; the tree of all errors is in `api.errors`."""

from __future__ import annotations

from api.errors import ArcpointApiError


class IngestError(ArcpointApiError):
    """A file cannot be loaded."""


class MappingError(IngestError):
    """The mapping is wrong; the message names the field or the column."""


class InputError(IngestError):
    """The file is missing, empty, unreadable or not what it claims to be."""


class LoadStopped(IngestError):
    """The load stopped on the way; running it again continues."""
