"""Text of others as it may be stored: without secrets, quotations of content, or characters that break."""

from __future__ import annotations

import re

from context_builder.text.redaction import Redaction

MAX_KEPT = 4_096
"""Characters."""

_KNOWN_SECRETS = Redaction().without_digest
_LIKE_SECRETS = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{6,}"
    r"|\b(?:sk|pk|rk|xox[abpr]|gh[opsu]|github_pat|glpat|hf|key|AKIA|ASIA|AIza)[-_]?[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<![\w-])(?:api[-_ ]?key|token|secret|password|passwd|authorization)[\"']?\s*[:=]"
    r"\s*[\"']?[^\s\"',;&]+"
    r"|\b[0-9a-f]{32,}\b"
)
"""Whatever looks like a secret: of text that is only shown, more may go than is known to be one."""
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
    return stored_text(_masked(text[: 4 * limit]), limit)


def redacted_error(text: str, limit: int = 500) -> str:
    """Return the first line of an error of a provider, without secrets and longer quotations."""
    line = next(iter(text[: 4 * limit].strip().splitlines()), "")
    return stored_text(_QUOTATION.sub("'…'", _masked(line)), limit)


def _masked(text: str) -> str:
    return _LIKE_SECRETS.sub("***", _KNOWN_SECRETS(text))
