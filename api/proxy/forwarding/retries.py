"""When an answer of an upstream is asked for once more. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 8.0
_JITTER = 0.25
_TRANSIENT = frozenset({408, 409, 429})
_SPEND_LIMIT = "enforced_spend_limit_reached"


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is an error."""

    status: int
    headers: Mapping[str, str]
    """Names in any case, or a mapping that does not mind."""
    error_code: str | None = None
    """`error.details.error_code` of the body."""


def pause_before_retry(refused: Refused, attempt: int, now: datetime) -> float | None:
    """Return the seconds to wait before the next attempt; None: the answer stands.

    `attempt` is the number of attempts so far. The rules are those of the API's own SDK; a 429 is asked again
    only if it says when, since one without that is a limit that waiting does not lift.
    """
    said = refused.headers.get("x-should-retry")
    if said == "false" or refused.error_code == _SPEND_LIMIT:
        return None
    after = _retry_after_s(refused.headers, now)
    is_transient = refused.status in _TRANSIENT or refused.status >= 500  # noqa: PLR2004  server errors
    if said != "true" and (not is_transient or (refused.status == 429 and after is None)):  # noqa: PLR2004
        return None
    return after if after is not None else backoff(attempt)


def backoff(attempt: int) -> float:
    """Return the seconds to wait after so many attempts, if nothing says how long."""
    pause = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), MAX_PAUSE_S)
    return pause * (1 - _JITTER * random.random())  # noqa: S311  spreads clients, protects nothing


def _retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, (parsedate_to_datetime(headers["retry-after"]) - now).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None
