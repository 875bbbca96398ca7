"""What an API's refusal means for the person who asked: one line that says what to do."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

_MESSAGE_CHARACTERS = 300
"""How much of a text from outside is repeated."""
_REASONS_BY_CLASS = {
    3: "the API's address redirects ({status}); set ARCPOINT_ANTHROPIC_BASE_URL to the final address",
    4: "the API refused the request ({status}){said}",
    5: "the API failed ({status}){said}; {when}",
}
_REASONS = {
    401: "the API rejected the key (401); set ARCPOINT_ANTHROPIC_API_KEY to a valid key",
    402: "the API wants to be paid first (402){said}; see the account's billing page",
    403: "the API does not let this key use {model} (403){said}; set another key or ARCPOINT_MODEL",
    404: "the API knows no model {model} (404); set ARCPOINT_MODEL to one that it offers",
    413: "the prompt is too large for the API (413){said}; ask with a smaller token budget",
    429: "the API's rate limit is reached (429){said}; {when}",
    529: "the API is overloaded (529); {when}",
}


@dataclass(frozen=True, slots=True)
class ApiError:
    """An HTTP answer other than 200 to one attempt."""

    status: int
    kind: str = ""
    """The API's error type, such as `not_found_error`; empty: the answer was not the API's."""
    message: str = ""
    retry_after_s: float | None = None

    def reason(self, model: str, base_url: str) -> str:
        """The refusal of a call to this model at this address, in one line."""
        if self.status == HTTPStatus.NOT_FOUND and not self.kind:
            return f"there is no Messages API at {base_url} (404); check ARCPOINT_ANTHROPIC_BASE_URL"
        by_class = _REASONS_BY_CLASS.get(self.status // 100, _REASONS_BY_CLASS[5])
        return _REASONS.get(self.status, by_class).format(
            model=model,
            status=self.status,
            said=f": {one_line(self.message).rstrip('.')}" if self.message else "",
            when=self._when(),
        )

    def _when(self) -> str:
        if self.retry_after_s is None or math.isinf(self.retry_after_s):
            return "try again later"
        return f"try again in {math.ceil(self.retry_after_s)} s"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long an answer asks to wait, in seconds above 0; None: it does not say, or makes no sense."""
    seconds = _seconds(headers.get("retry-after-ms", "")) / 1000 or _seconds(headers.get("retry-after", ""))
    return seconds if seconds > 0 else None


def _seconds(text: str) -> float:
    """A number, or the time until a date; 0 for anything else."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_tz(text)
        return 0.0 if date is None else email.utils.mktime_tz(date) - time.time()
    except (ValueError, OverflowError):
        return 0.0


def one_line(text: str) -> str:
    """A text from outside, short and without line breaks or control characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= _MESSAGE_CHARACTERS else line[: _MESSAGE_CHARACTERS - 1] + "…"
