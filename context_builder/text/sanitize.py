"""Makes text from logs, incidents, users and memory safe to include in a prompt line. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_CHARACTERS = 1_200
"""Maximum length of the text of one fact; longer text is truncated, with the omitted length stated."""

_SCAN_FACTOR = 4
"""Input is read up to this multiple of the limit, since invisible characters are dropped."""

_REFERENCE = re.compile(r"\[(?=\s*[A-Za-z]{1,3}\s*\d)([^\[\]]*)(\]?)")
_BRACKETS = str.maketrans("［］【】〔〕⟦⟧❲❳", "()()()()()")
"""Look-alikes of the square brackets of a reference."""
_TAG_START = re.compile(r"<(?=[/!?A-Za-z])(?!(?:SECRET|PERSON):[a-z0-9-]{1,40}:[0-9a-f]{8}>)")
"""A placeholder of the redaction stays readable; one that somebody forged stands for nothing."""
_QUOTE_MARKS = re.compile("([«»])")
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Cn"}
"""Unicode controls, zero-width and bidirectional marks, private use, surrogates and unassigned."""
_INVISIBLE_OTHERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Joiners, fillers, blanks and variation selectors of other categories, which can smuggle text."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Replace the characters that a database rejects (NUL and surrogates) with U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


@lru_cache(maxsize=4_096)  # many facts are the same in the next tick
def single_line(text: str, *, limit: int = MAX_CHARACTERS) -> str:
    """Return untrusted text as one safe line of at most `limit` characters. Idempotent.

    Invisible characters are dropped, references such as [H1] become (H1), tag starts are replaced, and
    « and » always pair up, so the text can neither close its fence nor forge a citation.
    """
    scanned = text[: _SCAN_FACTOR * limit]
    line = " ".join(scanned.translate(_visible).split()).translate(_BRACKETS)
    line = _TAG_START.sub("‹", _REFERENCE.sub(_parenthesize, line))
    length = len(line) + len(text) - len(scanned)
    if length <= limit:
        body, is_open = _pair_quote_marks(line)
        return "‹".join(body.rsplit("«", 1)) if is_open else body
    kept = max(0, limit - len(f"» … ({length:,} more characters)"))
    body, is_open = _pair_quote_marks(line[:kept].rstrip())
    return f"{body}{'»' if is_open else ''} … ({length - kept:,} more characters)"


def quote(text: str, *, limit: int = 300) -> str:
    """Return untrusted text as one line between « and », which it cannot close."""
    inner = single_line(text, limit=limit).replace("«", "‹").replace("»", "›")
    return f"«{inner}»"


class _VisibleCharacters(dict[int, int | None]):
    """A `str.translate` table that drops invisible characters and keeps white space."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        hidden = unicodedata.category(character) in _INVISIBLE_CATEGORIES or _INVISIBLE_OTHERS.match(
            character
        )
        mapped = None if hidden and not character.isspace() else code
        if code <= _MAX_CACHED_CODE:
            self[code] = mapped
        return mapped


_MAX_CACHED_CODE = 0xFFFF
_visible = _VisibleCharacters()


def _parenthesize(reference: re.Match[str]) -> str:
    return f"({reference.group(1)}{')' if reference.group(2) else ''}"


def _pair_quote_marks(line: str) -> tuple[str, bool]:
    """Replace unpaired « and »; also return whether the last « is still open."""
    parts = _QUOTE_MARKS.split(line)
    is_open = False
    for position, mark in enumerate(parts):
        if mark == "«" and is_open:
            parts[position] = "‹"
        elif mark == "»" and not is_open:
            parts[position] = "›"
        elif mark in ("«", "»"):
            is_open = not is_open
    return "".join(parts), is_open
