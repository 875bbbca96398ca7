"""Fields of an incident in the text of its postmortem: which labels and headings mean what. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from api.archive.pages.entries import MAX_LABEL, Entry, read_entries
from context_builder.text.markdown import sections

MAX_CHARACTERS = 300_000
"""Beginning of a text that is searched."""

CAUSES = frozenset({"symptoms", "impact", "root_cause", "resolution"})
"""What makes a page that of an incident."""
DATES = frozenset({"date", "started_at", "resolved_at", "duration", "timeline"})
"""What does so too, unless the page lists others."""


def _read_names() -> tuple[Mapping[str, str], frozenset[str]]:
    """Return field by normalized name, and the fields that are facts."""
    tables = tomllib.loads(Path(__file__).with_name("field_names.toml").read_text(encoding="utf-8"))
    named = tables["facts"] | tables["sections"]
    return {normalized(name): field for field in named for name in named[field]}, frozenset(tables["facts"])


def normalized(name: str) -> str:
    """Return a name in lower case, its words joined by underscores."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


_FIELD_OF, FACTS = _read_names()
_PARENTHESES = re.compile(r"\s*[(\uff08][^()\uff08\uff09]{2,60}[)\uff09]")
_NO_WORD = re.compile(r"[\W_\d]+")
_PLACEHOLDER = re.compile(
    r"[\W_]*(?:tb[ad]|todo|n/?a|none|nothing|unknown|not (?:yet )?(?:known|recorded|determined|written)"
    r"(?: by the model)?|under investigation|y{2,4}[-/.]m{1,2}[-/.]d{1,2}.{0,30}"
    r"|<[^<>]{1,200}>|\{\{[^{}]{1,200}\}\}|\[[^\[\]]{1,200}\])?[\W_]*",
    re.IGNORECASE,
)
"""Text of a form that nobody has filled in."""
_MAX_PLACEHOLDER = 300
_KIND_OF_DOCUMENT = re.compile(
    r"(?:incident )?(?:post[ -]?mortem|report|review)(?: report)? *[:\u2013\u2014-] *(?=\S)", re.IGNORECASE
)
"""Prefix of a heading that is not part of the title."""


def field_of(label: str) -> str | None:
    """Return the field that a label or heading names: `1. Root Cause(s)`, `**Date** (UTC)`, `🔍 Impact`."""
    if len(label) > MAX_LABEL:
        return None
    words = _NO_WORD.sub(" ", _PARENTHESES.sub("", label).replace("(s)", "s").replace("&", "and"))
    return _FIELD_OF.get(normalized(words))


def is_field(label: str) -> bool:
    """Return True if a label names a field."""
    return field_of(label) is not None


def entries_of(markdown: str) -> list[Entry]:
    """Return the entries of the beginning of a page."""
    return list(read_entries(markdown[:MAX_CHARACTERS], is_field))


def find_fields(markdown: str, entries: Sequence[Entry] | None = None) -> dict[str, list[Entry]]:
    """Return the entries of each field, the one that counts first, and the title.

    Headings win over labels, and the first of a name over later ones. Within a section whose heading is
    known only facts are read. Text that only says that nothing is known is left out.
    """
    found: dict[str, list[Entry]] = {}
    labelled: list[tuple[str, Entry]] = []
    for field, entry, is_inside in _fields(entries_of(markdown) if entries is None else entries):
        if len(entry.text) <= _MAX_PLACEHOLDER and _PLACEHOLDER.fullmatch(entry.text):
            continue
        if entry.shape == "heading":
            found.setdefault(field, []).append(entry)
        elif field in FACTS or not is_inside:
            labelled.append((field, entry))
    for field, entry in labelled:
        found.setdefault(field, []).append(entry)
    for section in sections(markdown[:MAX_CHARACTERS]):
        if section.title:
            plain = " ".join(section.title.strip("*_ ").split())
            plain = _KIND_OF_DOCUMENT.sub("", plain, count=1)
            found["title"] = [Entry("", plain, section.line, "title")]
            break
    return found


def _fields(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry, bool]]:
    """Yield the entries that name a field, and whether they are in a section whose heading is known."""
    ends_at = 0
    for entry in entries:
        field = field_of(entry.label)
        is_inside = entry.line < ends_at
        if entry.shape == "heading" and field and field != "timeline":
            ends_at = max(ends_at, entry.line + entry.text.count("\n") + 1)
        if field:
            yield field, entry, is_inside
