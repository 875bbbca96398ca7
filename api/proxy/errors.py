"""Errors that the proxy answers itself, in the shape of the API."""

from __future__ import annotations

import json
from collections.abc import Mapping

from api.errors import ArcpointApiError

_KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    504: "timeout_error",
}
"""The API's type of an error by status; those that the proxy makes."""


class ProxyRefusal(ArcpointApiError):
    """A request that the proxy answers itself; the message says why, and what is accepted."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """The API's `error_code` for it, where it has one."""

    @property
    def kind(self) -> str:
        """Return the API's type of the error."""
        return _KINDS[self.status]

    def body(self, request_id: str) -> bytes:
        """Return the body that clients of the API can read."""
        error: dict[str, object] = {"type": self.kind, "message": f"arcpoint: {self}"}
        if self.code is not None:
            error["details"] = {"error_code": self.code}
        return json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()


class ClientGone(ArcpointApiError):
    """The client has disconnected, or stopped reading; there is nobody to answer."""
