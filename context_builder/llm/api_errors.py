"""Turns an HTTP error of the API into one line that tells the user what to do."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from context_builder.text.sanitize import single_line

MAX_MESSAGE_CHARACTERS = 300
"""Upper limit of quoted API text."""
_REASONS_BY_CLASS = {
    3: "the API's address redirects ({status}); set ARCPOINT_ANTHROPIC_BASE_URL to the final address",
    4: "the API refused the request ({status}){detail}",
    5: "the API failed ({status}){detail}; {when}",
}
_REASONS = {
    401: "the API rejected the key (401); set ARCPOINT_ANTHROPIC_API_KEY to a valid key",
    402: "the API requires payment (402){detail}; see the account's billing page",
    403: "the API does not let this key use {model} (403){detail}; set another key or ARCPOINT_MODEL",
    404: "the API has no model {model} (404); set ARCPOINT_MODEL to one that it offers",
    413: "the prompt is too large for the API (413){detail}; ask with a smaller token budget",
    429: "the API's rate limit is reached (429){detail}; {when}",
    529: "the API is overloaded (529); {when}",
}


@dataclass(frozen=True, slots=True)
class ApiError:
    """An HTTP response other than 200 to one attempt."""

    status: int
    kind: str = ""
    """The API's error type, such as `not_found_error`; empty if the response did not come from the API."""
    message: str = ""
    retry_after_s: float | None = None

    def reason(self, model: str, base_url: str) -> str:
        """Explain in one line why a call to this model at this address failed."""
        if self.status == HTTPStatus.NOT_FOUND and not self.kind:
            return f"there is no Messages API at {base_url} (404); check ARCPOINT_ANTHROPIC_BASE_URL"
        by_class = _REASONS_BY_CLASS.get(self.status // 100, _REASONS_BY_CLASS[5])
        return _REASONS.get(self.status, by_class).format(
            model=model,
            status=self.status,
            detail=f": {quoted_message(self.message).rstrip('.')}" if self.message else "",
            when=self._when(),
        )

    def _when(self) -> str:
        if self.retry_after_s is None or math.isinf(self.retry_after_s):
            return "try again later"
        return f"try again in {math.ceil(self.retry_after_s)} s"


def quoted_message(text: str) -> str:
    """Return text from the API as one short, harmless line."""
    return single_line(text, limit=MAX_MESSAGE_CHARACTERS)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the requested wait in seconds, above 0; None if there is none or it is not valid."""
    seconds = _seconds(headers.get("retry-after-ms", "")) / 1000 or _seconds(headers.get("retry-after", ""))
    return seconds if seconds > 0 else None


def _seconds(text: str) -> float:
    """Parse a number of seconds or the time until an HTTP date; 0 for anything else."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_tz(text)
        return 0.0 if date is None else email.utils.mktime_tz(date) - time.time()
    except (ValueError, OverflowError):
        return 0.0
