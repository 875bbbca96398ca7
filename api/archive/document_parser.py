"""From a raw document to a typed one: keys by their usual names or a mapping, gaps filled from the text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.archive.documents import (
    ArchiveRecord,
    ImportDefaults,
    IncidentDocument,
    PostmortemRecord,
    RawDocument,
)
from api.archive.errors import DocumentSkipped
from api.archive.pages.entries import Entry
from api.archive.pages.text_fields import CAUSES, DATES, entries_of, find_fields, normalized
from api.archive.pages.text_times import find_end, find_times
from api.archive.pages.written_times import parse_written_time
from api.ingest.files.rows import json_columns
from api.ingest.records import FieldProblem, Notation, ParseOptions, ValueProblem
from api.ingest.records.fields import MAX_TARGET
from api.ingest.records.problems import NO_ZONE, excerpt, problems_of
from api.ingest.records.severities import ACCEPTED_SEVERITIES, severity_named
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

_LINK_TO_PAGE = re.compile(r"\]\([^()\s]{1,300}\.(?:md|markdown)(?:#[^()\s]*)?\)")

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
    # As far down as in its file, so that lines are those of the file.
    page = "\n" * (raw.text_line - 1) + text
    found = find_fields(page)
    _check_is_of_an_incident(raw, found)
    is_dated = "started_at" in stated
    notes: tuple[str, ...] = ()
    if digest is None:
        places = _fill(stated, found, defaults) | _fill_times(raw, stated, found, page, defaults)
        notes = _notes(raw, stated, places)
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
        # Labels in the text are columns, too.
        entries = reversed(entries_of(raw.text or ""))
        labelled = {entry.label: _first_line(entry) for entry in entries}
        filled = defaults.bindings.values(labelled | json_columns(json.dumps(raw.members)))
        values |= {field: text for field, text in filled.items() if isinstance(text, str) and text}
    return values


def _check_is_of_an_incident(raw: RawDocument, found: Mapping[str, Sequence[Entry]]) -> None:
    """Raise DocumentSkipped for a page that is no postmortem: a form, a list of links, another text."""
    if raw.text is None or raw.members or found.keys() & CAUSES:
        return
    if _LINK_TO_PAGE.search(raw.text):
        raise DocumentSkipped(raw.location, "is a page of links: it has no cause, impact or resolution")
    if not found.keys() & DATES and not raw.date_in_path:
        raise DocumentSkipped(raw.location, "has neither a date nor a cause, impact or resolution")


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


def _fill(
    stated: dict[str, Any], found: Mapping[str, Sequence[Entry]], defaults: ImportDefaults
) -> dict[str, str]:
    """Fill the fields that are not stated, but for the times, from the text and the defaults.

    Return where facts were found, by field.
    """
    texts = {name: entries[0].text for name, entries in found.items()}
    texts.setdefault("symptoms", "\n\n".join(texts[name] for name in ("summary", "impact") if name in texts))
    places: dict[str, str] = {}
    severities = [(_first_line(entry), str(entry)) for entry in found.get("severity", ())]
    if severities:
        legible = (each for each in severities if severity_named(each[0]))
        texts["severity"], places["severity"] = next(legible, severities[0])
    if defaults.severity and not severity_named(texts.get("severity", "")):
        texts["severity"] = defaults.severity
        places.pop("severity", None)
    if entries := found.get("target"):
        texts["target"] = ", ".join(
            line.strip("-*+ \t") for line in entries[0].text.splitlines() if line.strip()
        )
        places["target"] = str(entries[0])
        if len(texts["target"]) > MAX_TARGET:
            del texts["target"]
    for name in ("title", "symptoms", "root_cause", "resolution", "severity", "target"):
        if name in stated or not texts.get(name):
            places.pop(name, None)
        else:
            stated[name] = texts[name]
    return places


def _first_line(entry: Entry) -> str:
    return entry.text.partition("\n")[0]


def _fill_times(
    raw: RawDocument,
    stated: dict[str, Any],
    found: Mapping[str, Sequence[Entry]],
    markdown: str,
    defaults: ImportDefaults,
) -> dict[str, str]:
    """Fill start and end, unless they are stated, from the text; return where they were found, by field."""
    try:
        if "started_at" not in stated:
            times = find_times(markdown, found, defaults.zone, raw.date_in_path)
        elif stated["started_at"] and "resolved_at" not in stated:
            start = parse_written_time(stated["started_at"], _options(defaults).of("started_at"))
            times = find_end(start, markdown, found, defaults.zone)
        else:
            return {}
    except ValueProblem as problem:
        if "started_at" in stated:
            return {}
        raise raw.rejected("started_at", _reason(problem)) from None
    places: dict[str, str] = {}
    for name, moment in (("started_at", times.start), ("resolved_at", times.end)):
        if moment is not None and name not in stated:
            stated[name], places[name] = moment, times.places[name]
    return places


def _notes(raw: RawDocument, stated: Mapping[str, Any], places: Mapping[str, str]) -> tuple[str, ...]:
    """Return one sentence on what was found where."""
    said = [
        f"{name} {_shown(stated[name])} from {place}"
        for name in ("started_at", "resolved_at", "severity", "target")
        if (place := places.get(name))
    ]
    return (f"{raw.location}: {'; '.join(said)}",) if said else ()


def _shown(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)


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
            start = parse_written_time(raw.date_in_name, Notation(zone or UTC))
    content = json.dumps([record.title.split(), start.isoformat()])
    return ArchiveRecord.id_prefix + blake2b(content.encode(), digest_size=16).hexdigest()


def _postmortem(
    raw: RawDocument, about: Any, found: Mapping[str, Sequence[Entry]], defaults: ImportDefaults
) -> dict[str, Any]:
    """Return the columns of the postmortem; its members win over its sections."""
    values: dict[str, Any] = {
        name: found[name][0].text for name in ("summary", "root_cause", "resolution") if name in found
    }
    if isinstance(about, dict):
        members = _by_normalized_key(raw, about)
        names = [name for name in PostmortemRecord.model_fields if name in members]
        values |= {name: _text(raw, name, members[name]) for name in names}
    return _validated(raw, PostmortemRecord, values, defaults).model_dump(exclude_unset=True)


def _validated(
    raw: RawDocument, model: type[AnyModel], values: Mapping[str, Any], defaults: ImportDefaults
) -> AnyModel:
    try:
        return model.model_validate(values, context=_options(defaults))
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise raw.rejected(problem.field, _reason(problem)) from None


def _options(defaults: ImportDefaults) -> ParseOptions:
    written = defaults.bindings.options.fields if defaults.bindings else {}
    return ParseOptions(Notation(defaults.zone), written)


def _reason(problem: ValueProblem | FieldProblem) -> str:
    hint = ", or say --timezone UTC" if problem.kind == NO_ZONE else ""
    return (f"{problem.kind}: {problem.detail}" if problem.detail else problem.kind) + hint
