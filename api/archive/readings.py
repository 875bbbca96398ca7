"""From members and text to a document: keys by any of their usual names, values checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from hashlib import blake2b
from typing import Any, TypeVar

from api.archive.document import POSTMORTEM_TEXTS, POSTMORTEM_TIMES, Document, PostmortemText
from api.archive.errors import DocumentRejected, Place
from api.archive.members import Member, Members
from api.archive.sections import sections_of, title_of
from api.ingest.errors import RowRejected, ZoneOrUnitMissing, shown
from api.ingest.values import Moment, Reading, Text
from models import Provenance, ReviewStatus, Severity

_KEYS = {
    "id": ("id", "incident_id", "incident"),
    "title": ("title", "name", "subject"),
    "severity": ("severity", "sev", "priority"),
    "target": ("target", "service", "deployment", "component", "services"),
    "symptoms": ("symptoms", "description", "summary", "impact"),
    "root_cause": ("root_cause", "cause"),
    "resolution": ("resolution", "fix", "mitigation", "remediation"),
    "started_at": ("started_at", "start", "started", "date", "start_time"),
    "resolved_at": ("resolved_at", "end", "resolved", "ended_at", "end_time"),
    "status": ("status", "state", "review"),
    "provenance": ("provenance",),
    "markdown": ("markdown", "body", "content", "text"),
}
"""What each field may be called, the first that is there counts."""

_LIMITS = {
    "id": 100, "title": 1000, "target": 200, "symptoms": 100_000, "root_cause": 100_000,
    "resolution": 100_000, "summary": 100_000, "model": 100, "reviewed_by": 200, "markdown": 2_000_000,
}  # fmt: skip
"""Characters."""

_SEVERITIES = {
    Severity.CRITICAL: ("critical", "blocker", "emergency", "urgent", "0", "1"),
    Severity.HIGH: ("high", "major", "2"),
    Severity.MEDIUM: ("medium", "moderate", "normal", "3"),
    Severity.LOW: ("low", "minor", "trivial", "info", "informational", "4", "5"),
}
_SEVERITY_WORDS = {word: severity for severity, words in _SEVERITIES.items() for word in words}
_SEVERITY = re.compile(
    r"\s*(?:(?:sev(?:erity)?|prio(?:rity)?|p|s)[\s_-]*(?=[0-5]))?([a-z]+|[0-5])\b.*",
    re.IGNORECASE | re.DOTALL,
)
_REVIEWS = {
    "draft": ReviewStatus.DRAFT,
    **dict.fromkeys(("approved", "final", "published", "reviewed", "accepted"), ReviewStatus.APPROVED),
    "rejected": ReviewStatus.REJECTED,
}
_OVER = ("resolved", "closed", "done", "complete", "completed", "mitigated", "postmortem")
_GOING_ON = ("active", "open", "ongoing", "investigating", "identified", "monitoring")
WANTED = {
    "title": "accepted is a title, or a heading in the text",
    "severity": f"accepted are {', '.join(Severity)}, P1 or SEV1, or --severity for all that have none",
    "started_at": "accepted is a time such as 2026-11-20T08:00Z",
    "resolved_at": "accepted is a time such as 2026-11-20T08:00Z, or null while it is going on",
}
"""What a field takes, for those who left it out."""

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the caller says where an archive says nothing."""

    zone: tzinfo | None = None
    """Of times without a zone; None: they are refused."""
    severity: Severity | None = None
    """Of incidents without one; None: they are refused."""


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it is written."""

    place: Place
    members: Members
    text: str | None = None
    """The Markdown below the front matter; None: the members hold it."""
    text_line: int = 1
    """Where it begins."""
    date_in_name: str | None = None
    """Which the file's name begins with."""


def read_document(written: Written, assumptions: Assumptions) -> Document:
    """The document, with its values checked. Raises DocumentRejected."""
    return _Reader(written, assumptions).document()


class _Reader:
    """Reads one document."""

    def __init__(self, written: Written, assumptions: Assumptions) -> None:
        self._place = written.place
        self._written = written
        self._members = written.members
        self._assumptions = assumptions
        self._lines: dict[str, int] = {}
        self._about = self._about_postmortem()
        self._markdown = self._whole_text()
        self._sections = sections_of(self._markdown or "")

    def document(self) -> Document:
        digest = self._written_digest()
        columns = self._columns() if digest is None else {}
        review, is_over = self._status(columns)
        return Document(
            place=self._place,
            public_id=self._public_id(columns),
            columns=columns,
            lines=self._lines,
            is_over=is_over,
            postmortem=self._postmortem(),
            review=review,
            provenance=self._choice("provenance", self._find("provenance"), Provenance),
            written_digest=digest,
        )

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name in ("title", "target", "symptoms", "root_cause", "resolution"):
            if member := self._find(name):
                columns[name] = self._text(name, member)
        if member := self._find("severity"):
            columns["severity"] = self._severity(member)
        elif self._assumptions.severity:
            columns["severity"] = self._assumptions.severity
        for name in ("started_at", "resolved_at"):
            if member := self._find(name):
                columns[name] = self._moment(name, member)
        self._fill(columns)
        self._check(columns)
        return columns

    def _fill(self, columns: dict[str, Any]) -> None:
        """What is not stated, from the text and from the name of the file."""
        title = title_of(self._markdown or "")
        if "title" not in columns and title:
            columns["title"] = self._text("title", Member(self._written.text_line, title))
        told = dict(self._sections)
        summary = [told[name] for name in ("summary", "impact") if name in told]
        told.setdefault("symptoms", "\n\n".join(summary))
        for name in ("symptoms", "root_cause", "resolution"):
            if name not in columns and told.get(name):
                columns[name] = self._text(name, Member(self._written.text_line, told[name]))
        if "started_at" not in columns and self._written.date_in_name:
            columns["started_at"] = self._moment("started_at", Member(1, self._written.date_in_name))

    def _check(self, columns: dict[str, Any]) -> None:
        columns["symptoms"] = columns["symptoms"] or "" if "symptoms" in columns else ""
        if not columns["symptoms"] and not self._find("symptoms"):
            del columns["symptoms"]
        if "title" in columns and not (columns["title"] or "").strip():
            raise self._rejected("title", "is empty")
        for name in ("severity", "started_at"):
            if name in columns and columns[name] is None:
                raise self._rejected(name, "is empty")
        started, resolved = columns.get("started_at"), columns.get("resolved_at")
        if started and resolved and resolved < started:
            raise self._rejected(
                "resolved_at", f"{resolved.isoformat()} is before the start, {started.isoformat()}"
            )

    def _status(self, columns: dict[str, Any]) -> tuple[ReviewStatus | None, bool]:
        """What is said of the review, and whether the incident is over though no end is stated."""
        told = bool(self._markdown or columns.get("root_cause") or columns.get("resolution"))
        member = self._find("status")
        if member is None or member.value is None:
            return None, told
        word = self._plain("status", member).strip().lower()
        if word in _REVIEWS:
            return _REVIEWS[word], told
        if word in _OVER:
            return None, True
        if word not in _GOING_ON:
            accepted = f"a review ({', '.join(_REVIEWS)}) or a state ({', '.join((*_OVER, *_GOING_ON))})"
            raise self._rejected("status", f"{shown(word)} is not known; accepted is {accepted}")
        if columns.get("resolved_at"):
            raise self._rejected("status", f"{shown(word)} says that it is going on, but it has an end")
        columns["resolved_at"] = None
        return None, False

    def _public_id(self, columns: Mapping[str, Any]) -> str:
        if member := self._find("id"):
            text = self._text("id", member)
            if text and text.strip() and text.isprintable():
                return text
            raise self._rejected(
                "id", "is empty or holds control characters; accepted are 1 to 100 characters"
            )
        for name in ("title", "started_at"):
            if name not in columns:
                raise self._rejected(name, f"is missing; {WANTED[name]}")
        content = json.dumps([columns["title"].split(), columns["started_at"].isoformat()])
        return "inc_" + blake2b(content.encode(), digest_size=16).hexdigest()

    def _postmortem(self) -> PostmortemText | None:
        if self._markdown is None:
            return None
        about = self._members if self._written_digest() else self._about or {}
        columns: dict[str, Any] = {
            name: text
            for name in ("summary", "root_cause", "resolution")
            if (text := self._sections.get(name))
        }
        for name in POSTMORTEM_TEXTS:
            if name in about:
                columns[name] = self._text(name, about[name])
        for name in POSTMORTEM_TIMES:
            if name in about:
                columns[name] = self._moment(name, about[name])
        return PostmortemText(
            markdown=self._markdown,
            columns=columns,
            status=self._choice("status", about.get("status"), ReviewStatus),
            provenance=self._choice("provenance", about.get("provenance"), Provenance),
        )

    def _written_digest(self) -> str | None:
        """Of a postmortem that this product has written; its front matter is all about the postmortem."""
        member = self._members.get("body_sha256")
        return (
            self._plain("body_sha256", member) if member is not None and "incident" in self._members else None
        )

    def _about_postmortem(self) -> Members | None:
        """Members of the postmortem itself; None where it has none of its own."""
        member = self._members.get("postmortem")
        return member.value if member is not None and isinstance(member.value, dict) else None

    def _whole_text(self) -> str | None:
        """The Markdown of the postmortem; None where there is no postmortem."""
        text = self._written.text
        if text is None:
            given = (self._about or {}).get("markdown") or self._find("markdown")
            if given is None and self._about is None:
                given = self._members.get("postmortem")
            text = self._text("markdown", given) if given else None
        if text is None or not (text.strip() or self._about is not None):
            return None
        return self._text("markdown", Member(self._written.text_line, text))

    def _find(self, field: str) -> Member | None:
        for key in _KEYS[field]:
            if key in self._members:
                self._lines[field] = self._members[key].line
                return self._members[key]
        return None

    def _severity(self, member: Member) -> Severity | None:
        if member.value is None:
            return None
        text = self._plain("severity", member)
        found = _SEVERITY.fullmatch(text)
        severity = _SEVERITY_WORDS.get(found.group(1).lower()) if found else None
        if severity is None:
            accepted = ", ".join(f"{each} ({', '.join(words[1:])})" for each, words in _SEVERITIES.items())
            raise self._rejected(
                "severity", f"{shown(text)} is not known; accepted are {accepted}, P1 or SEV1"
            )
        return severity

    def _moment(self, field: str, member: Member) -> datetime | None:
        self._lines[field] = member.line
        if member.value is None:
            return None
        text = self._plain(field, member).strip()
        try:
            moment: datetime = Moment().converter(Reading(zone=self._assumptions.zone))(text)
        except ZoneOrUnitMissing as error:
            if "zone" not in error.kind:
                raise self._rejected(field, f"{shown(text)} is a number; write {WANTED[field]}") from None
            example = "2026-11-20T08:00Z"
            reason = f"{shown(text)} has no time zone; write for example {example}, or say --timezone UTC"
            raise self._rejected(field, reason) from None
        except RowRejected as error:
            raise self._rejected(field, error.reason) from None
        return moment.astimezone(UTC)

    def _choice(self, field: str, member: Member | None, kind: type[Choice]) -> Choice | None:
        if member is None or member.value is None:
            return None
        text = self._plain(field, member).strip().lower()
        if text in list(kind):
            return kind(text)
        self._lines[field] = member.line
        raise self._rejected(field, f"{shown(text)} is not known; accepted are {', '.join(kind)}")

    def _text(self, field: str, member: Member) -> str | None:
        if member.value is None:
            return None
        self._lines.setdefault(field, member.line)
        text = self._plain(field, member)
        try:
            Text(_LIMITS[field]).converter(Reading())(text)
        except RowRejected as error:
            raise self._rejected(field, error.reason) from None
        return text

    def _plain(self, field: str, member: Member) -> str:
        """Text as it is; a list as one line."""
        match member.value:
            case str():
                return member.value
            case tuple():
                return ", ".join(member.value)
        self._lines[field] = member.line
        raise self._rejected(field, "holds members of its own; accepted is text")

    def _rejected(self, field: str, reason: str) -> DocumentRejected:
        return DocumentRejected(self._place.at(self._lines.get(field, self._place.line)), field, reason)
