"""Text from logs, incidents, users and memory, made safe to stand in a prompt line."""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 1_200
"""Longest text that one fact may bring along; the rest is cut and counted."""

_SCANNED = 4
"""How many times the limit is read at the most, since invisible characters do not count."""

_REFERENCE = re.compile(r"\[(?=\s*[A-Za-z]{1,3}\s*\d)([^\[\]]*)(\]?)")
_BRACKETS = str.maketrans("［］【】〔〕⟦⟧❲❳", "()()()()()")
"""Brackets that could be taken for those of a reference."""
_TAG_OPENING = re.compile(r"<(?=[/!?A-Za-z])")
_MARKS = re.compile("([«»])")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn"}
"""Unicode categories with no visible shape: controls, zero-width and bidi marks, private use, surrogates."""
_SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Joiners, fillers, blanks and variation selectors of other categories, which can carry text unseen."""


def single_line(text: str, *, limit: int = MAX_CHARACTERS) -> str:
    """The text as one line of at most `limit` characters that stays the same when it comes here again.

    It cannot end its fence, imitate a reference or hide characters: what a reader would not see is dropped,
    references such as [H1] become (H1), what could open a tag is replaced, and « and » match.
    """
    scanned = text[: _SCANNED * limit]
    line = " ".join(scanned.translate(_visible).split()).translate(_BRACKETS)
    line = _TAG_OPENING.sub("‹", _REFERENCE.sub(_in_parentheses, line))
    length = len(line) + len(text) - len(scanned)
    if length <= limit:
        body, still_open = _matched(line)
        return "‹".join(body.rsplit("«", 1)) if still_open else body
    kept = max(0, limit - len(f"» … ({length:,} more characters)"))
    body, still_open = _matched(line[:kept].rstrip())
    return f"{body}{'»' if still_open else ''} … ({length - kept:,} more characters)"


def quote(text: str, *, limit: int = 300) -> str:
    """Free text written by someone else, in marks that it cannot close itself."""
    inner = single_line(text, limit=limit).replace("«", "‹").replace("»", "›")
    return f"«{inner}»"


class _Visible(dict[int, int | None]):
    """For `str.translate`: what a character becomes, None where it has no shape; white space stays."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        hidden = unicodedata.category(character) in _INVISIBLE or _SHAPELESS.match(character)
        shown = None if hidden and not character.isspace() else code
        if code <= _MAX_REMEMBERED:
            self[code] = shown
        return shown


_MAX_REMEMBERED = 0xFFFF
_visible = _Visible()


def _in_parentheses(reference: re.Match[str]) -> str:
    return f"({reference.group(1)}{')' if reference.group(2) else ''}"


def _matched(line: str) -> tuple[str, bool]:
    """The line without « and » that open or close no pair, and whether a pair is left open."""
    parts = _MARKS.split(line)
    still_open = False
    for position, mark in enumerate(parts):
        if mark == "«" and still_open:
            parts[position] = "‹"
        elif mark == "»" and not still_open:
            parts[position] = "›"
        elif mark in ("«", "»"):
            still_open = not still_open
    return "".join(parts), still_open
