"""Text to and from Markdown: escape untrusted text, split sections, reduce them to plain text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from context_builder.text.markdown import sections
from context_builder.text.sanitize import MAX_CHARACTERS, quote, single_line

MAX_EXCERPT = 2_000
"""Characters of a section that is stored beside the document."""

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


def escape_markdown(text: str) -> str:
    """Return untrusted text as one line that forms no link, code or table cell."""
    return _MARKUP.sub(r"\\\1", single_line(text))


def quote_markdown(text: str) -> str:
    """Quote untrusted text; the quotation marks keep it from starting a heading, list or code block."""
    return _MARKUP.sub(r"\\\1", quote(text, limit=MAX_CHARACTERS))


def sections_of(text: str, titles: Sequence[str]) -> Mapping[str, str]:
    """Split a model's text by section title; text before the first heading belongs to the first section.

    Accepts headings in the forms that models use. Other headings are demoted, so that they do not end a
    section.
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
    """Demote headings that would end the section, and close an open code block."""
    body = _ANY_HEADING.sub("###", body)
    return f"{body}\n```" if len(_FENCE.findall(body)) % 2 else body


def section_text(document: str, title: str) -> str:
    """Return the text under a second-level heading; empty if there is none."""
    found = (
        each for each in sections(document) if (each.level, each.title.casefold()) == (2, title.casefold())
    )
    section = next(found, None)
    return section.body.strip() if section else ""


def excerpt(section: str) -> str | None:
    """Return a section as bounded plain text without references; None if it says nothing."""
    text = " ".join(_MARKS.sub("", _REFERENCE.sub("", section)).split())
    if not text or _NOTHING.fullmatch(text):
        return None
    return text if len(text) <= MAX_EXCERPT else f"{text[: MAX_EXCERPT - 2]} …"
