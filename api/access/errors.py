"""Why a request is not served, or a key not changed; the tree of all errors is in `api.errors`."""

from __future__ import annotations

from api.errors import ArcpointApiError


class Unauthenticated(ArcpointApiError):
    """Nobody knows who makes the request; the message says what would be accepted."""


class Forbidden(ArcpointApiError):
    """The caller is known and may not do this; the message names the role that may."""


class RateLimited(ArcpointApiError):
    """The caller's key has used up what it may ask for now."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        """`retry_after_s` is the time after which the next request is served."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyRefused(ArcpointApiError):
    """A key cannot be made or changed as it was asked for."""
