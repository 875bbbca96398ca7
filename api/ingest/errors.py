"""What ends a load or a post; the tree of all errors is in `api.errors`."""

from __future__ import annotations

from api.errors import ArcpointApiError


class IngestError(ArcpointApiError):
    """A file or a post cannot be taken in."""


class MappingError(IngestError):
    """The mapping is wrong; the message names the field or the column."""


class InputError(IngestError):
    """The file is missing, empty, unreadable or not what it claims to be."""


class LoadStopped(IngestError):
    """The load stopped on the way; running it again continues."""


class UnknownWay(IngestError):
    """No kind of record and no receiver has this name."""


class BodyUnreadable(IngestError):
    """A post is not what it claims to be; sending it again would not help."""


class BodyTooLarge(IngestError):
    """A post has more bytes or items than are accepted."""


class UnknownEncoding(IngestError):
    """A post is packed or written in a way that is not read."""


class SenderUnproven(IngestError):
    """A post does not prove that it comes from the sender whose secret is set."""


class IngestBusy(IngestError):
    """A post was not stored, since memory is short or the database fails; it should be sent again."""

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        """`retry_after_s` is the time after which there should be room."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BodyTooSlow(IngestBusy):
    """A body did not come in time; the rest of it is not waited for."""
