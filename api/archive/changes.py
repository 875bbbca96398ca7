"""What a document means for an incident and a postmortem that may be stored. Touches no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.archive.document_parser import ACCEPTED
from api.archive.documents import ArchivedPostmortem, IncidentDocument
from api.archive.errors import DocumentRejected
from context_builder.postmortems.document import read_document
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.records import body_digest, checked_markdown
from context_builder.question.request import QuestionError
from models import Incident, IncidentStatus, Postmortem, Provenance, ReviewStatus

_UNWRITTEN = (Provenance.MODEL, Provenance.CODE)
"""Nobody vouches for these until somebody says so."""
_KEPT_POSTMORTEM = "the postmortem, which a person has edited or reviewed"
_REQUIRED = ("title", "severity", "started_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPolicy:
    """What an import may do, and who does it when."""

    replace: bool = False
    """Whether it may overwrite what was not imported, or what a person has edited or reviewed."""
    by: str | None = None
    """Who reviews, where the file of a postmortem was marked approved or rejected."""
    at: datetime


@dataclass(slots=True)
class PlannedChanges:
    """Columns to set; empty ones change nothing."""

    incident: dict[str, Any] = field(default_factory=dict)
    postmortem: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """What the archive says otherwise and is left as it is here."""


def plan_changes(
    document: IncidentDocument, incident: Incident | None, postmortem: Postmortem | None, policy: ImportPolicy
) -> PlannedChanges:
    """Compares a document with what is stored. Raises DocumentRejected where they do not go together."""
    changes = PlannedChanges()
    changes.incident = (
        _new_incident(document) if incident is None else _changed(document, incident, policy, changes)
    )
    text = document.postmortem
    if text is None:
        return changes
    if document.written_digest is not None and incident is not None:
        changes.postmortem = _edited(document, text, incident, postmortem, policy, changes)
    elif postmortem is None:
        changes.postmortem = _new_postmortem(document, text, policy)
    else:
        changes.postmortem = _replaced(document, text, postmortem, policy, changes)
    return changes


def _new_incident(document: IncidentDocument) -> dict[str, Any]:
    for name in _REQUIRED:
        if document.columns.get(name) is None:
            known = f"is missing, and no incident {document.public_id!r} is known here"
            raise DocumentRejected(document.location_of(name), name, f"{known}; {ACCEPTED[name]}")
    columns = dict(document.columns)
    if document.is_over:
        columns.setdefault("resolved_at", columns["started_at"])
    columns.setdefault("resolved_at", None)
    return columns | {
        "public_id": document.public_id,
        "symptoms": columns.get("symptoms") or "",
        "status": _status(columns["resolved_at"]),
        "provenance": document.provenance or Provenance.IMPORT,
        "review": document.review or _default_review(document.provenance),
    }


def _status(resolved_at: datetime | None) -> IncidentStatus:
    return IncidentStatus.ACTIVE if resolved_at is None else IncidentStatus.RESOLVED


def _default_review(provenance: Provenance | None) -> ReviewStatus:
    return ReviewStatus.DRAFT if provenance in _UNWRITTEN else ReviewStatus.APPROVED


def _changed(
    document: IncidentDocument, incident: Incident, policy: ImportPolicy, changes: PlannedChanges
) -> dict[str, Any]:
    """An imported incident follows its archive; of another one only what is empty is filled."""
    follows = policy.replace or incident.provenance == Provenance.IMPORT
    columns = {}
    for name, value in document.columns.items():
        old = getattr(incident, name)
        if old == value or (not follows and value in (None, "")):
            continue
        if follows or old in (None, ""):
            columns[name] = value
        else:
            changes.kept.append(name)
    if columns and follows and incident.provenance != Provenance.IMPORT:
        columns["provenance"] = document.provenance or Provenance.IMPORT
    after = {name: columns.get(name, getattr(incident, name)) for name in ("started_at", "resolved_at")}
    if after["resolved_at"] is not None and after["resolved_at"] < after["started_at"]:
        name = "started_at" if "started_at" in columns else "resolved_at"
        raise DocumentRejected(
            document.location_of(name), name, "is not in order with the other time as it is known here"
        )
    if "resolved_at" in columns and _status(columns["resolved_at"]) != incident.status:
        columns["status"] = _status(columns["resolved_at"])
    may_decide = policy.replace or incident.review == ReviewStatus.DRAFT
    if (
        document.written_digest is None
        and document.review
        and document.review != incident.review
        and may_decide
    ):
        columns["review"] = document.review
    return columns


def _new_postmortem(document: IncidentDocument, text: ArchivedPostmortem, policy: ImportPolicy) -> dict[str, Any]:
    given = {"summary": "", "root_cause": None, "resolution": None} | dict(text.columns)
    provenance = text.provenance or document.provenance
    status = text.status or document.review or _default_review(provenance)
    if status == ReviewStatus.APPROVED:
        # By whoever keeps the archive; a name it has only once somebody approves it here.
        given.setdefault("reviewed_at", policy.at)
    return given | {
        "summary": given["summary"] or "",
        "markdown": text.markdown,
        "provenance": provenance or Provenance.IMPORT,
        "status": status,
        "created_at": given.get("created_at") or policy.at,
    }


def _replaced(
    document: IncidentDocument, text: ArchivedPostmortem, stored: Postmortem, policy: ImportPolicy, changes: PlannedChanges
) -> dict[str, Any]:
    """A postmortem follows its archive unless a person has edited or reviewed it here."""
    new = _new_postmortem(document, text, policy)
    if "created_at" not in text.columns:
        del new["created_at"]
    if stored.provenance != Provenance.IMPORT and new["markdown"] == stored.markdown:
        # The same text, seen again: who wrote it does not change.
        del new["provenance"]
    if text.status is None and document.review is None:
        del new["status"]
    if "reviewed_at" not in text.columns and new.get("status", stored.status) == stored.status:
        new.pop("reviewed_at", None)
    columns = {name: value for name, value in new.items() if getattr(stored, name) != value}
    if not columns:
        return {}
    if _is_a_persons(stored) and not policy.replace:
        changes.kept.append(_KEPT_POSTMORTEM)
        return {}
    if "markdown" in columns and stored.provenance != Provenance.IMPORT:
        # What was paid for the text before is in the question log.
        given = {"model": None, "question_id": None, "cost_usd": 0, "template": None, "incident_digest": None}
        columns = given | columns
    return columns


def _is_a_persons(stored: Postmortem) -> bool:
    return (
        stored.edited_at is not None
        or stored.reviewed_by is not None
        or stored.provenance == Provenance.HUMAN
        or (stored.provenance != Provenance.IMPORT and stored.status == ReviewStatus.APPROVED)
    )


def _edited(
    document: IncidentDocument,
    text: ArchivedPostmortem,
    incident: Incident,
    stored: Postmortem | None,
    policy: ImportPolicy,
    changes: PlannedChanges,
) -> dict[str, Any]:
    """A file that this product has written, and that a person may have edited since."""
    digest = body_digest(text.markdown)
    is_edited = digest != document.written_digest
    if stored is None:
        columns = _new_postmortem(document, text, policy) | {"incident_digest": incident_digest(incident)}
        return columns | (_by_a_person(document, text, incident, policy) if is_edited else {})
    columns = {}
    known = body_digest(stored.markdown)
    # A copy that nobody has edited holds nothing that was not here before.
    if is_edited and digest != known:
        # What was edited here stays, unless the file was made from it.
        is_based_on_it = document.written_digest == known and stored.reviewed_by is None
        if _is_a_persons(stored) and not is_based_on_it and not policy.replace:
            changes.kept.append(_KEPT_POSTMORTEM)
            return {}
        columns = _by_a_person(document, text, incident, policy)
    is_decision = document.review not in (None, ReviewStatus.DRAFT) and stored.status == ReviewStatus.DRAFT
    if is_decision and (columns or digest == known):
        columns |= {"status": document.review, "reviewed_at": policy.at, "reviewed_by": policy.by}
    return columns


def _by_a_person(
    document: IncidentDocument, text: ArchivedPostmortem, incident: Incident, policy: ImportPolicy
) -> dict[str, Any]:
    """As an edit of the postmortem itself: who approved another text did not approve this one."""
    try:
        markdown = checked_markdown(text.markdown)
    except QuestionError as error:
        raise DocumentRejected(document.location, "text", str(error)) from None
    told = read_document(markdown)
    return {
        "markdown": markdown,
        "summary": told.summary,
        "root_cause": told.root_cause,
        "resolution": told.resolution,
        "provenance": Provenance.HUMAN,
        "edited_at": policy.at,
        "incident_digest": incident_digest(incident),
        "status": ReviewStatus.DRAFT,
        "reviewed_at": None,
        "reviewed_by": None,
    }
