"""An upstream's answer as the breaker counts it: success, neutral or failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_BUSY_CODES = frozenset(
    {
        *("rate_limited", "rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "queue_full"),
        *("overloaded", "overloaded_error", "engine_overloaded", "server_busy", "busy"),
    }
)
_CLIENT_CODES = frozenset(
    {
        *("invalid_request", "invalid_request_error", "authentication_error", "permission_error"),
        *("not_found_error", "request_too_large", "context_length_exceeded", "content_filter"),
        *("content_policy_violation", "cancelled", "client_closed_request"),
    }
)
_TOO_MANY, _UNAVAILABLE, _OVERLOADED = 429, 503, 529


class UpstreamResult(StrEnum):
    """What an upstream's answer says about the upstream."""

    SUCCESS = "success"
    """It works; also where the request was at fault."""
    NEUTRAL = "neutral"
    """It is busy: a reason to send less, none to eject it."""
    FAILURE = "failure"


_PENDING = "pending"
_BY_STATUS: Mapping[str, UpstreamResult] = {
    "success": UpstreamResult.SUCCESS,
    "rate_limited": UpstreamResult.NEUTRAL,
    "timeout": UpstreamResult.FAILURE,
}
"""By the status of the request log; an error depends on its code."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of one deployment since the last tick; counts of requests that ended."""

    successes: int = 0
    neutrals: int = 0
    failures: int = 0
    slow: int = 0
    """Successes that took longer than the deployment's limit."""

    def __add__(self, other: Observed) -> Observed:
        return Observed(
            self.successes + other.successes,
            self.neutrals + other.neutrals,
            self.failures + other.failures,
            self.slow + other.slow,
        )

    @property
    def failure_share(self) -> float:
        """Share of failures among successes and failures; 0 without any."""
        return self.failures / decided if (decided := self.successes + self.failures) else 0.0

    @property
    def strained_share(self) -> float:
        """Share of slow or refused requests among all but failures; 0 without any."""
        answered = self.successes + self.neutrals
        return (self.slow + self.neutrals) / answered if answered else 0.0


def result_of_status(status: int, *, busy: bool = False) -> UpstreamResult:
    """Classify an HTTP status; `busy` says that a 503 came with a Retry-After or names a full queue."""
    if status in (_TOO_MANY, _OVERLOADED) or (status == _UNAVAILABLE and busy):
        return UpstreamResult.NEUTRAL
    return UpstreamResult.FAILURE if status >= 500 else UpstreamResult.SUCCESS  # noqa: PLR2004  as in HTTP


def result_of_logged(status: str, error_code: str | None) -> UpstreamResult | None:
    """Classify a request of the log by its status and error code; None: it has not ended."""
    if status == _PENDING:
        return None
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    code = (error_code or "").casefold()
    if code.isdecimal() and len(code) == 3:  # noqa: PLR2004  digits of an HTTP status
        return result_of_status(int(code))
    if code in _BUSY_CODES:
        return UpstreamResult.NEUTRAL
    return UpstreamResult.SUCCESS if code in _CLIENT_CODES else UpstreamResult.FAILURE
