"""Text of others as it may be stored: without secrets, quotations of content, or characters that break."""

from __future__ import annotations

import re

from context_builder.text.redaction import Redaction

MAX_KEPT = 4_096
"""Characters."""

_WITHOUT_SECRETS = Redaction().without_digest
_QUOTATION = re.compile(r"'[^']{24,}'|\"[^\"]{24,}\"|`[^`]{24,}`|“[^”]{24,}”")
"""Providers quote what they refuse, which can be a prompt."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def stored_text(text: str, limit: int = MAX_KEPT) -> str:
    """Return text that every database stores: without NUL and halves of surrogate pairs, cut to a limit."""
    if not text.isascii() or "\0" in text:
        text = _UNSTORABLE.sub("", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redacted(text: str, limit: int = MAX_KEPT) -> str:
    """Return text without what looks like a secret."""
    return stored_text(_WITHOUT_SECRETS(text[: 4 * limit]), limit)


def redacted_error(text: str, limit: int = 500) -> str:
    """Return the first line of an error of a provider, without secrets and longer quotations."""
    line = next(iter(text[: 4 * limit].strip().splitlines()), "")
    return stored_text(_QUOTATION.sub("'…'", _WITHOUT_SECRETS(line)), limit)
