"""Fields of an incident in the text of its postmortem: which labels and headings mean what. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from api.archive.page_entries import Entry, read_entries
from context_builder.text.markdown import title_of

MAX_CHARACTERS = 300_000
"""Beginning of a text that is searched."""

FACT_NAMES: Mapping[str, Sequence[str]] = {
    "severity": (
        "severity", "sev", "priority", "severity level", "incident severity", "schweregrad", "priorität", "schwere",
        "重大度", "深刻度", "優先度",
    ),
    "date": (
        "date", "incident date", "date of incident", "date and time", "date time", "when", "incident window", "time",
        "time of incident", "datum", "zeitraum", "日時", "発生日時", "発生日", "日付",
    ),
    "started_at": (
        "started at", "start", "started", "start time", "start date", "incident start", "impact start", "began",
        "beginn", "begin", "detected at", "first detected", "reported at", "opened at", "開始", "開始時刻", "開始日時",
    ),
    "resolved_at": (
        "resolved at", "end", "ended", "ended at", "resolved", "end time", "end date", "incident end", "impact end",
        "ende", "終了", "終了時刻", "終了日時", "復旧日時", "復旧時刻",
    ),
    "duration": (
        "duration", "impact duration", "incident duration", "outage duration", "total duration", "length", "downtime",
        "time to resolve", "time to resolution", "dauer", "継続時間", "影響時間", "期間",
    ),
    "target": (
        "affected services", "affected service", "services affected", "service affected", "services", "service",
        "affected systems", "systems affected", "affected components", "components affected", "component",
        "components", "impacted services", "services impacted", "betroffene dienste", "betroffene systeme",
        "影響サービス", "対象サービス",
    ),
}  # fmt: skip
"""Labels of facts, which are read wherever they are."""
TEXT_NAMES: Mapping[str, Sequence[str]] = {
    "summary": (
        "summary", "executive summary", "incident summary", "overview", "what happened", "description",
        "zusammenfassung", "概要",
    ),
    "symptoms": ("symptoms", "detection", "symptome", "症状", "検知"),
    "impact": (
        "impact", "customer impact", "user impact", "business impact", "auswirkung", "auswirkungen", "影響", "影響範囲",
    ),
    "root_cause": (
        "root cause", "root causes", "root cause analysis", "root causes and trigger", "cause", "causes", "trigger",
        "why it happened", "contributing factors", "contributing factor", "ursache", "ursachen", "grundursache",
        "原因", "根本原因",
    ),
    "resolution": (
        "resolution", "fix", "mitigation", "remediation", "recovery", "resolution and recovery",
        "mitigation and resolution", "how we fixed it", "behebung", "lösung", "maßnahmen", "対応", "復旧", "解決",
    ),
    "timeline": (
        "timeline", "incident timeline", "timeline of events", "detailed timeline", "chronology", "zeitleiste",
        "zeitlicher ablauf", "ablauf", "タイムライン", "経緯", "時系列",
    ),
}  # fmt: skip
"""Names of sections, which are also read as labels outside of sections whose names are known."""
CAUSES = frozenset({"symptoms", "impact", "root_cause", "resolution"})
"""What makes a page that of an incident."""
DATES = frozenset({"date", "started_at", "resolved_at", "duration", "timeline"})
"""What does so too, unless the page lists others."""


def normalized(name: str) -> str:
    """Return a name in lower case, its words joined by underscores."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


_FIELD_OF = {
    normalized(name): field for names in (FACT_NAMES, TEXT_NAMES) for field in names for name in names[field]
}
_PARENTHESES = re.compile(r"\s*[(\uff08][^()\uff08\uff09]{2,60}[)\uff09]")
_NO_WORD = re.compile(r"[\W_\d]+")
_PLACEHOLDER = re.compile(
    r"[\W_]*(?:tb[ad]|todo|n/?a|none|nothing|unknown|not (?:yet )?(?:known|recorded|determined|written)"
    r"(?: by the model)?|under investigation|y{2,4}[-/.]m{1,2}[-/.]d{1,2}.{0,30}|<[^<>]{1,200}>|\{\{[^{}]{1,200}\}\}"
    r"|\[[^\[\]]{1,200}\])?[\W_]*",
    re.IGNORECASE,
)
"""Text of a form that nobody has filled in."""
_KIND_OF_DOCUMENT = re.compile(
    r"(?:incident )?(?:post[ -]?mortem|report|review)(?: report)? *[:\u2013\u2014-] *(?=\S)", re.IGNORECASE
)
"""Prefix of a heading that is not part of the title."""
_TITLE_LABELS = ("title", "incident_title", "titel", "タイトル")


def field_of(label: str) -> str | None:
    """Return the field that a label or heading names: of `1. Root Cause(s)`, `**Date** (UTC)`, `🔍 Impact`."""
    if len(label) > 2 * len("root causes and trigger"):
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

    Headings win over labels, and the first of a name over later ones. Within a section whose heading is known only
    facts are read. Text that only says that nothing is known is left out.
    """
    found: dict[str, list[Entry]] = {}
    labelled: list[tuple[str, Entry]] = []
    for field, entry, is_inside in _fields(entries_of(markdown) if entries is None else entries):
        if _PLACEHOLDER.fullmatch(entry.text):
            continue
        if entry.shape == "heading":
            found.setdefault(field, []).append(entry)
        elif field in FACT_NAMES or not is_inside:
            labelled.append((field, entry))
    for field, entry in labelled:
        found.setdefault(field, []).append(entry)
    if title := title_of(markdown[:MAX_CHARACTERS]):
        plain = " ".join(title.strip("*_ ").split())
        found["title"] = [Entry("", _KIND_OF_DOCUMENT.sub("", plain, count=1), 1, "title")]
    return found


def _fields(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry, bool]]:
    """Yield the entries that name a field, and whether they are inside of a section whose heading is known."""
    ends_at = 0
    for entry in entries:
        field = field_of(entry.label)
        is_inside = entry.line < ends_at
        if entry.shape == "heading" and field and field != "timeline":
            ends_at = max(ends_at, entry.line + entry.text.count("\n") + 1)
        if field:
            yield field, entry, is_inside
