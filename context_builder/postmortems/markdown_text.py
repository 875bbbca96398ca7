"""Text in Markdown and out of it: what others wrote becomes no markup, sections become plain text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from context_builder.text.sanitize import MAX_CHARACTERS, quote, single_line

MAX_EXCERPT = 2_000
"""Characters of a section that is kept beside the document."""

_MARKUP = re.compile(r"([\\`|\[\]])")
_FENCE = re.compile(r"^\s*```", re.MULTILINE)
_ANY_HEADING = re.compile(r"^(#{1,2})(?=[ \t])", re.MULTILINE)
_TITLE_LINE = re.compile(r"\A# .*\n?")
_REFERENCE = re.compile(r"\s*\[[A-Za-z_.]+:?\d*(?:\s*,\s*[A-Za-z_.]+:?\d*)*\]")
_MARKS = re.compile(r"^\s*(?:[-*+]|\d+[.)]|>|#{1,6})\s+|\*\*|`+", re.MULTILINE)
_NOTHING = re.compile(
    r"(?:the )?(?:root cause |cause |resolution |fix )?(?:is |was )?(?:still )?"
    r"(?:not (?:known|recorded|written by the model)|unknown|no (?:cause|fix) is recorded)\W*",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Text by others as one line that makes no link, code or table cell."""
    return _MARKUP.sub(r"\\\1", single_line(text))


def quoted_plain(text: str) -> str:
    """Free text by others; the marks keep it from beginning a heading, a list or a block of code."""
    return _MARKUP.sub(r"\\\1", quote(text, limit=MAX_CHARACTERS))


def sections_of(text: str, titles: Sequence[str]) -> Mapping[str, str]:
    """A model's text by the title of each section that it wrote; what stands before the first belongs to it.

    Headings are recognized in the ways in which models write them; other ones become smaller, so that they
    do not end a section.
    """
    heading = re.compile(
        rf"^(?:#{{1,6}}[ \t]+|\*\*)(?:\d+[.)][ \t]*)?({'|'.join(map(re.escape, titles))}):?(?:\*\*)?[ \t#]*$",
        re.IGNORECASE | re.MULTILINE,
    )
    exact = {title.casefold(): title for title in titles}
    before, *pieces = heading.split(
        _TITLE_LINE.sub("", text.strip()) if not heading.match(text.strip()) else text
    )
    texts: dict[str, list[str]] = {}
    for title, body in [(titles[0], before), *zip(pieces[::2], pieces[1::2], strict=True)]:
        if body.strip():
            texts.setdefault(exact[title.casefold()], []).append(_contained(body.strip()))
    return {title: "\n\n".join(bodies) for title, bodies in texts.items()}


def _contained(body: str) -> str:
    """A text that ends no section and leaves no block of code open."""
    body = _ANY_HEADING.sub("###", body)
    return f"{body}\n```" if len(_FENCE.findall(body)) % 2 else body


def section_text(document: str, title: str) -> str:
    """The text under a second-level heading; empty where there is none."""
    found = re.search(
        rf"^## {re.escape(title)}[ \t]*$(.*?)(?=^##? |\Z)", document, re.MULTILINE | re.DOTALL | re.IGNORECASE
    )
    return found.group(1).strip() if found else ""


def excerpt(section: str) -> str | None:
    """A section as plain text without references, bounded; None where it says nothing."""
    text = " ".join(_MARKS.sub("", _REFERENCE.sub("", section)).split())
    if not text or _NOTHING.fullmatch(text):
        return None
    return text if len(text) <= MAX_EXCERPT else f"{text[: MAX_EXCERPT - 2]} …"
