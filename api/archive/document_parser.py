"""From a raw document to a typed one: keys by their usual names or a mapping, gaps filled from the text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, tzinfo
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.archive.documents import (
    ACCEPTED_SEVERITIES,
    ArchiveRecord,
    ImportDefaults,
    IncidentDocument,
    PostmortemRecord,
    RawDocument,
    is_severity,
)
from api.archive.text_fields import FoundText, find_fields, find_period, find_timestamps, normalized
from api.archive.written_times import parse_written_time
from api.ingest.files.rows import json_columns
from api.ingest.records import FieldProblem, ParseOptions, ValueProblem
from api.ingest.records.problems import NO_ZONE, excerpt, problems_of
from models import ReviewStatus

KEYS = {
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
"""Keys of each field; the first that is there counts."""
ACCEPTED = {
    "id": "accepted are 1 to 100 characters",
    "title": "accepted is a title, or a heading in the text",
    "severity": f"accepted are {ACCEPTED_SEVERITIES}, or --severity for all that have none",
    "started_at": "accepted is a time such as 2026-11-20T08:00Z",
}
"""What is accepted in fields that cannot be empty."""
_REVIEWS = {
    "draft": ReviewStatus.DRAFT,
    **dict.fromkeys(("approved", "final", "published", "reviewed", "accepted"), ReviewStatus.APPROVED),
    "rejected": ReviewStatus.REJECTED,
}
_OVER = ("resolved", "closed", "done", "complete", "completed", "mitigated", "postmortem")
_ONGOING = ("active", "open", "ongoing", "investigating", "identified", "monitoring")

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def parse_document(raw: RawDocument, defaults: ImportDefaults) -> IncidentDocument:
    """Return the typed document. Raises DocumentRejected."""
    members = _by_normalized_key(raw, raw.members)
    about = members.get("postmortem")
    digest = None
    if "body_sha256" in members and "incident" in members:
        # Written by this product: all its front matter is about the postmortem.
        digest, about = _text(raw, "body_sha256", members["body_sha256"]), members
    stated = _stated(raw, members, defaults)
    markdown = _markdown(raw, about, stated.get("markdown"))
    review, is_over = _status(raw, stated, has_text=markdown is not None)
    text = markdown or ""
    found = find_fields(text)
    is_dated = "started_at" in stated
    notes: tuple[str, ...] = ()
    if digest is None:
        _fill(stated, found, defaults)
        notes = tuple(_fill_times(raw, stated, found, text, defaults.zone))
    else:
        stated = {name: stated[name] for name in stated.keys() & {"id", "provenance"}}
    stated["markdown"] = markdown
    for name, accepted in ACCEPTED.items():
        if not stated.get(name, True):
            raise raw.rejected(name, f"is empty; {accepted}")
    record = _validated(raw, ArchiveRecord, stated, defaults)
    columns = record.model_dump(exclude_unset=True, exclude={"id", "provenance", "markdown"})
    if columns.get("symptoms", "") is None:
        columns["symptoms"] = ""
    return IncidentDocument(
        location=raw.location,
        public_id=record.id or _made_id(raw, record, defaults.zone, is_dated=is_dated),
        columns=columns,
        is_over=is_over,
        markdown=markdown,
        postmortem={} if markdown is None else _postmortem(raw, about, found, defaults),
        review=review,
        provenance=record.provenance,
        written_digest=digest,
        notes=notes,
    )


def _by_normalized_key(raw: RawDocument, members: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in members.items():
        name = normalized(key)
        if name in found:
            raise raw.rejected(name, "is given twice; accepted is one of each key")
        found[name] = value
    return found


def _stated(raw: RawDocument, members: Mapping[str, Any], defaults: ImportDefaults) -> dict[str, Any]:
    """Return the fields that members state; those that a mapping fills win."""
    values = {}
    for field, keys in KEYS.items():
        key = next((key for key in keys if key in members), None)
        if key is not None:
            values[field] = _text(raw, field, members[key])
    if defaults.bindings:
        texts = defaults.bindings.texts(json_columns(json.dumps(raw.members)))
        values |= {field: text for field, text in texts.items() if text}
    return values


def _text(raw: RawDocument, field: str, value: Any) -> str | None:
    """Return text as it is, a list as one line."""
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case list() if all(each is None or isinstance(each, str) for each in value):
            return ", ".join(each or "" for each in value)
    raise raw.rejected(field, "holds members of its own; accepted is text")


def _markdown(raw: RawDocument, about: Any, member: str | None) -> str | None:
    """Return the text of the postmortem; None if there is no postmortem."""
    has_members = isinstance(about, dict)
    text = raw.text
    if text is None:
        given = about.get("markdown") if has_members else about
        text = _text(raw, "markdown", given if has_members and given else member or given)
    return text if text is not None and (text.strip() or has_members) else None


def _status(raw: RawDocument, stated: dict[str, Any], *, has_text: bool) -> tuple[ReviewStatus | None, bool]:
    """Return what is said of the review, and whether the incident is over even if no end is stated."""
    word = (stated.pop("status", None) or "").strip().lower()
    if not word or word in _REVIEWS:
        is_over = has_text or bool(stated.get("root_cause") or stated.get("resolution"))
        return _REVIEWS.get(word), is_over
    if word not in (*_OVER, *_ONGOING):
        accepted = f"a review ({', '.join(_REVIEWS)}) or a state ({', '.join((*_OVER, *_ONGOING))})"
        raise raw.rejected("status", f"unknown value: {excerpt(word)}; accepted is {accepted}")
    if word in _ONGOING:
        if stated.get("resolved_at"):
            raise raw.rejected("status", f"{excerpt(word)} means that it is ongoing, but it has an end")
        stated["resolved_at"] = None
    return None, word in _OVER


def _fill(stated: dict[str, Any], found: Mapping[str, FoundText], defaults: ImportDefaults) -> None:
    """Fill the fields that are not stated, but for the times, from the text and the defaults."""
    texts = {name: each.text for name, each in found.items()}
    texts.setdefault("symptoms", "\n\n".join(texts[name] for name in ("summary", "impact") if name in texts))
    texts["severity"] = texts.get("severity", "").partition("\n")[0]
    if defaults.severity and not is_severity(texts["severity"]):
        texts["severity"] = defaults.severity
    for name in ("title", "symptoms", "root_cause", "resolution", "severity"):
        if name not in stated and texts.get(name):
            stated[name] = texts[name]


def _fill_times(
    raw: RawDocument,
    stated: dict[str, Any],
    found: Mapping[str, FoundText],
    markdown: str,
    zone: tzinfo | None,
) -> Iterator[str]:
    """Fill the start from a label, the name of the file or else the first time in the text; yield notes."""
    if "started_at" not in stated:
        label = found.get("started_at")
        in_name = FoundText(raw.date_in_name, 0) if raw.date_in_name else None
        texts = chain(filter(None, (label, in_name)), find_timestamps(markdown))
        try:
            period = find_period(texts, zone)
        except ValueProblem as problem:
            raise raw.rejected("started_at", _reason(problem)) from None
        if period is not None:
            stated["started_at"], end, line = period
            if end is not None:
                stated.setdefault("resolved_at", end)
            if line:
                where = raw.location.at(raw.text_line - 1 + line if raw.text else raw.location.line)
                yield f"{where}: started_at: {stated['started_at'].isoformat()} was found in the text"
    if "resolved_at" not in stated and "resolved_at" in found:
        with suppress(ValueProblem):
            stated["resolved_at"] = parse_written_time(found["resolved_at"].text.partition("\n")[0], zone)


def _made_id(raw: RawDocument, record: ArchiveRecord, zone: tzinfo | None, *, is_dated: bool) -> str:
    """Return an id that follows from title and start, the same in every format and place."""
    if record.title is None:
        raise raw.rejected("title", f"is missing; {ACCEPTED['title']}")
    if record.started_at is None:
        raise raw.rejected("started_at", f"is missing; {ACCEPTED['started_at']}")
    start = record.started_at
    if raw.date_in_name and not is_dated:
        # A time in the text may become more precise, the name of the file stays.
        with suppress(ValueProblem):
            start = parse_written_time(raw.date_in_name, zone or UTC)
    content = json.dumps([record.title.split(), start.isoformat()])
    return ArchiveRecord.id_prefix + blake2b(content.encode(), digest_size=16).hexdigest()


def _postmortem(
    raw: RawDocument, about: Any, found: Mapping[str, FoundText], defaults: ImportDefaults
) -> dict[str, Any]:
    """Return the columns of the postmortem; its members win over its sections."""
    values: dict[str, Any] = {
        name: found[name].text for name in ("summary", "root_cause", "resolution") if name in found
    }
    if isinstance(about, dict):
        members = _by_normalized_key(raw, about)
        names = [name for name in PostmortemRecord.model_fields if name in members]
        values |= {name: _text(raw, name, members[name]) for name in names}
    return _validated(raw, PostmortemRecord, values, defaults).model_dump(exclude_unset=True)


def _validated(
    raw: RawDocument, model: type[AnyModel], values: Mapping[str, Any], defaults: ImportDefaults
) -> AnyModel:
    units = defaults.bindings.options.units if defaults.bindings else {}
    try:
        return model.model_validate(values, context=ParseOptions(defaults.zone, units))
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise raw.rejected(problem.field, _reason(problem)) from None


def _reason(problem: ValueProblem | FieldProblem) -> str:
    hint = ", or say --timezone UTC" if problem.kind == NO_ZONE else ""
    return (f"{problem.kind}: {problem.detail}" if problem.detail else problem.kind) + hint
