"""Fields of an incident in the text of its postmortem, below a heading or after a label. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from api.archive.written_times import TIMESTAMP, parse_period
from api.ingest.records import ValueProblem
from context_builder.text.markdown import MarkdownSection, paragraphs, sections, title_of

MAX_CHARACTERS = 300_000
"""Beginning of a text that is searched."""

TEXT_NAMES = {
    "severity": ("severity", "sev", "priority"),
    "started_at": ("date", "started_at", "start", "started", "start_time", "incident_date"),
    "resolved_at": ("resolved_at", "end", "ended", "ended_at", "resolved", "end_time"),
    "summary": (
        "summary",
        "executive_summary",
        "incident_summary",
        "overview",
        "what_happened",
        "description",
    ),
    "symptoms": ("symptoms", "detection"),
    "impact": ("impact", "customer_impact", "user_impact", "business_impact"),
    "root_cause": ("root_cause", "root_causes", "root_cause_analysis", "cause", "causes", "why_it_happened"),
    "resolution": ("resolution", "fix", "mitigation", "remediation", "recovery", "resolution_and_recovery"),
}
"""What each field is called in headings and labels."""
_FIELD_OF = {name: field for field, names in TEXT_NAMES.items() for name in names}
_PLACEHOLDER = re.compile(
    r"[\W_]*(?:tb[ad]|todo|n/?a|none|nothing|unknown|not (?:yet )?(?:known|recorded|determined|written)"
    r"(?: by the model)?|under investigation)?[\W_]*",
    re.IGNORECASE,
)
"""Text of a form that nobody has filled in."""
_MARKS = "*_`~:.() \t0123456789"
_KIND_OF_DOCUMENT = re.compile(
    r"(?:incident )?(?:post[ -]?mortem|report|review)(?: report)? *[:\u2013\u2014-] *(?=\S)", re.IGNORECASE
)
"""Prefix of a heading that is not part of the title."""


@dataclass(slots=True)
class FoundText:
    """A text and the line on which it begins."""

    text: str
    line: int


def normalized(name: str) -> str:
    """Return a name in lower case, its words joined by underscores."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def _field_of(name: str) -> str | None:
    return _FIELD_OF.get(normalized(name.replace("*", "").replace("`", "").strip(_MARKS)))


def find_fields(markdown: str) -> dict[str, FoundText]:
    """Return the texts below headings and after labels, by the names of TEXT_NAMES, and the title.

    Headings win over labels, and the first of a name over later ones. Labels are read outside of the sections
    whose headings are known. Text that only says that nothing is known is left out.
    """
    text = markdown[:MAX_CHARACTERS]
    below: list[tuple[str, FoundText]] = []
    labelled: list[tuple[str, FoundText]] = []
    level = 0
    for section in sections(text):
        if field := _field_of(section.title):
            below.append((field, FoundText(section.body.strip(), section.text_line)))
            level = section.level
        elif section.level <= level or not level:
            labelled += _labels(section)
            level = 0
    found: dict[str, FoundText] = {}
    for field, each in (*below, *labelled):
        if not _PLACEHOLDER.fullmatch(each.text):
            found.setdefault(field, each)
    if title := title_of(text):
        plain = " ".join(title.strip("*_ ").split())
        found["title"] = FoundText(_KIND_OF_DOCUMENT.sub("", plain, count=1), 1)
    return found


def find_timestamps(markdown: str) -> Iterator[FoundText]:
    """Yield the times in the text, except those in code."""
    for first, lines in paragraphs(markdown[:MAX_CHARACTERS]):
        for number, line in enumerate(lines, first):
            yield from (FoundText(match.group(), number) for match in TIMESTAMP.finditer(line))


def find_period(
    texts: Iterable[FoundText], zone: tzinfo | None
) -> tuple[datetime, datetime | None, int] | None:
    """Return start, end and line of the first text that begins with a line that is a time or a period.

    Raises:
        ValueProblem: there are texts, but none is a time; about the first.
    """
    first_problem: ValueProblem | None = None
    for each in texts:
        try:
            return *parse_period(each.text.partition("\n")[0], zone), each.line
        except ValueProblem as problem:
            first_problem = first_problem or problem
    if first_problem:
        raise first_problem
    return None


def _labels(section: MarkdownSection) -> Iterator[tuple[str, FoundText]]:
    """Yield the texts after labels, each up to the next label or the end of the paragraph."""
    for first, lines in paragraphs(section.own_text):
        current = None
        for number, line in enumerate(lines, section.text_line - 1 + first):
            label, colon, rest = line.partition(":")
            if colon and (field := _field_of(label)):
                current = FoundText(rest.lstrip("*_ "), number)
                yield field, current
            elif line.startswith(("**", "__")):
                current = None
            elif current:
                current.text = f"{current.text}\n{line}"
