"""Text from logs, incidents, users and memory, made safe to stand in a prompt line."""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 1_200
"""Longest text that one fact may bring along; the rest is cut and counted."""

_REFERENCE = re.compile(r"\[(?=\s*[A-Z]{1,3}\d+(?:\s*[,;-]\s*[A-Z]{1,3}\d+)*\s*\])([^\]]*)\]")
_TAG_OPENING = re.compile(r"<(?=[/!?A-Za-z])")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn"}
"""Unicode categories with no visible shape: controls, zero-width and bidi marks, private use, surrogates."""


def one_line(text: str, *, limit: int = MAX_CHARACTERS) -> str:
    """The text as one line that cannot end its fence, imitate a reference or hide characters.

    Anything that would be invisible to a reader of the prompt is dropped, references such as [H1]
    become (H1), and what could open a tag is replaced.
    """
    clipped = text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} more characters)"
    spaced = " ".join(clipped.split())
    visible = "".join(c for c in spaced if c == " " or unicodedata.category(c) not in _INVISIBLE)
    return _TAG_OPENING.sub("‹", _REFERENCE.sub(r"(\1)", visible))


def quoted(text: str, *, limit: int = 300) -> str:
    """Free text written by someone else, in marks that it cannot close itself."""
    inner = one_line(text, limit=limit).replace("«", "‹").replace("»", "›")
    return f"«{inner}»"
