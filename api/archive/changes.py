"""What a document changes in an incident and a postmortem that may be stored. Touches no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.archive.document_parser import ACCEPTED
from api.archive.documents import IncidentDocument
from api.archive.errors import DocumentRejected
from context_builder.postmortems.document import read_document
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.records import body_digest, checked_markdown
from context_builder.question.request import QuestionError
from models import Incident, IncidentStatus, Postmortem, Provenance, ReviewStatus

_UNREVIEWED = (Provenance.MODEL, Provenance.CODE)
"""Origins of drafts, until somebody approves them."""
_EMPTY = (None, "")
_KEPT_POSTMORTEM = "the postmortem, which a person has edited or reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPolicy:
    """What an import may do, and who does it when."""

    replace: bool = False
    """True if it may overwrite what was not imported, or what a person has edited or reviewed."""
    by: str | None = None
    """Reviewer of postmortems whose files were marked approved or rejected."""
    at: datetime


@dataclass(slots=True)
class PlannedChanges:
    """Columns to set; empty ones change nothing."""

    incident: dict[str, Any] = field(default_factory=dict)
    postmortem: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """Columns that the archive states differently and that are left unchanged."""


def plan_changes(
    document: IncidentDocument, incident: Incident | None, postmortem: Postmortem | None, policy: ImportPolicy
) -> PlannedChanges:
    """Return what a document changes in the stored rows. Raises DocumentRejected where they contradict."""
    plan = PlannedChanges()
    if incident is None:
        plan.incident = _new_incident(document)
    else:
        _change_incident(plan, document, incident, policy)
    _check_times(document, incident, plan.incident)
    if document.markdown is None:
        return plan
    own = None if document.written_digest is None else incident
    match own, postmortem:
        case None, None:
            plan.postmortem = _new_postmortem(document, policy)
        case None, Postmortem():
            _change_postmortem(plan, document, postmortem, policy)
        case Incident(), None:
            plan.postmortem = _new_own_postmortem(document, own, policy)
        case Incident(), Postmortem():
            _change_own_postmortem(plan, document, own, postmortem, policy)
    return plan


def _check_times(document: IncidentDocument, incident: Incident | None, changes: dict[str, Any]) -> None:
    start, end = (changes.get(name, getattr(incident, name, None)) for name in ("started_at", "resolved_at"))
    if start is not None and end is not None and end < start:
        name = "started_at" if incident is not None and "started_at" in changes else "resolved_at"
        order = f"{end.isoformat()} is before the start, {start.isoformat()}"
        raise DocumentRejected(document.location, name, order)


def _differing(stored: Incident | Postmortem, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if getattr(stored, name) != value}


def _new_incident(document: IncidentDocument) -> dict[str, Any]:
    for name in ("title", "severity", "started_at"):
        if document.columns.get(name) is None:
            known = f"is missing, and no incident {document.public_id!r} is known here"
            raise DocumentRejected(document.location, name, f"{known}; {ACCEPTED[name]}")
    end = document.columns["started_at"] if document.is_over else None
    columns: dict[str, Any] = {"symptoms": "", "resolved_at": end, **document.columns}
    return columns | {
        "public_id": document.public_id,
        "status": _status(columns["resolved_at"]),
        "provenance": document.provenance or Provenance.IMPORT,
        "review": document.review or _default_review(document.provenance),
    }


def _status(resolved_at: datetime | None) -> IncidentStatus:
    return IncidentStatus.ACTIVE if resolved_at is None else IncidentStatus.RESOLVED


def _default_review(provenance: Provenance | None) -> ReviewStatus:
    return ReviewStatus.DRAFT if provenance in _UNREVIEWED else ReviewStatus.APPROVED


def _change_incident(
    plan: PlannedChanges, document: IncidentDocument, incident: Incident, policy: ImportPolicy
) -> None:
    """Let an imported incident follow its archive; of another one fill only what is empty."""
    columns = _differing(incident, document.columns)
    if not policy.replace and incident.provenance != Provenance.IMPORT:
        stated = {name: value for name, value in columns.items() if value not in _EMPTY}
        columns = {name: stated[name] for name in stated if getattr(incident, name) in _EMPTY}
        plan.kept += [name for name in stated if name not in columns]
    elif columns and incident.provenance != Provenance.IMPORT:
        columns["provenance"] = document.provenance or Provenance.IMPORT
    if "resolved_at" in columns:
        columns |= _differing(incident, {"status": _status(columns["resolved_at"])})
    plan.incident = columns | _decision(document, incident, policy)


def _decision(document: IncidentDocument, incident: Incident, policy: ImportPolicy) -> dict[str, Any]:
    may_decide = policy.replace or incident.review == ReviewStatus.DRAFT
    is_decision = document.written_digest is None and document.review not in (None, incident.review)
    return {"review": document.review} if may_decide and is_decision else {}


def _new_postmortem(document: IncidentDocument, policy: ImportPolicy) -> dict[str, Any]:
    given = {"root_cause": None, "resolution": None} | dict(document.postmortem)
    provenance = given.get("provenance") or document.provenance
    given["status"] = given.get("status") or document.review or _default_review(provenance)
    if given["status"] == ReviewStatus.APPROVED:
        # By the owner of the archive; the name is set when somebody approves it here.
        given.setdefault("reviewed_at", policy.at)
    return given | {
        "summary": given.get("summary") or "",
        "markdown": document.markdown,
        "provenance": provenance or Provenance.IMPORT,
        "created_at": given.get("created_at") or policy.at,
    }


def _change_postmortem(
    plan: PlannedChanges, document: IncidentDocument, stored: Postmortem, policy: ImportPolicy
) -> None:
    """Let a postmortem follow its archive unless a person has edited or reviewed it here."""
    columns = _stated_changes(document, stored, policy)
    if columns and _is_by_a_person(stored) and not policy.replace:
        plan.kept.append(_KEPT_POSTMORTEM)
        return
    if "markdown" in columns and stored.provenance != Provenance.IMPORT:
        # What was paid for the text before is in the question log.
        written_by = {"model": None, "question_id": None, "cost_usd": 0}
        columns = written_by | {"template": None, "incident_digest": None} | columns
    plan.postmortem = columns


def _stated_changes(document: IncidentDocument, stored: Postmortem, policy: ImportPolicy) -> dict[str, Any]:
    """Return the columns that differ, without the defaults of a new postmortem."""
    columns = _differing(stored, _new_postmortem(document, policy))
    if "created_at" not in document.postmortem:
        columns.pop("created_at", None)
    if stored.provenance != Provenance.IMPORT and "markdown" not in columns:
        # The same text again: its author does not change.
        columns.pop("provenance", None)
    if document.postmortem.get("status") is None and document.review is None:
        columns.pop("status", None)
    if "reviewed_at" not in document.postmortem and "status" not in columns:
        columns.pop("reviewed_at", None)
    return columns


def _is_by_a_person(stored: Postmortem) -> bool:
    return (
        stored.edited_at is not None
        or stored.reviewed_by is not None
        or stored.provenance == Provenance.HUMAN
        or (stored.provenance != Provenance.IMPORT and stored.status == ReviewStatus.APPROVED)
    )


def _new_own_postmortem(
    document: IncidentDocument, incident: Incident, policy: ImportPolicy
) -> dict[str, Any]:
    columns = _new_postmortem(document, policy) | {"incident_digest": incident_digest(incident)}
    is_edited = body_digest(document.markdown or "") != document.written_digest
    return columns | _edit(document, incident, policy) if is_edited else columns


def _change_own_postmortem(
    plan: PlannedChanges,
    document: IncidentDocument,
    incident: Incident,
    stored: Postmortem,
    policy: ImportPolicy,
) -> None:
    """Take in a file that this product wrote, and that a person may have edited since."""
    digest = body_digest(document.markdown or "")
    known = body_digest(stored.markdown)
    if digest != known:
        if digest == document.written_digest:
            return  # An unedited copy of another text holds nothing new.
        # An edit made here stays, unless the file was made from it.
        is_based_on_it = document.written_digest == known and stored.reviewed_by is None
        if _is_by_a_person(stored) and not is_based_on_it and not policy.replace:
            plan.kept.append(_KEPT_POSTMORTEM)
            return
        plan.postmortem = _edit(document, incident, policy)
    if document.review not in (None, ReviewStatus.DRAFT) and stored.status == ReviewStatus.DRAFT:
        plan.postmortem |= {"status": document.review, "reviewed_at": policy.at, "reviewed_by": policy.by}


def _edit(document: IncidentDocument, incident: Incident, policy: ImportPolicy) -> dict[str, Any]:
    """Return the columns of a text by a person; an approval of another text does not hold for it."""
    try:
        markdown = checked_markdown(document.markdown or "")
    except QuestionError as error:
        raise DocumentRejected(document.location, "text", str(error)) from None
    parts = read_document(markdown)
    return {
        "markdown": markdown,
        "summary": parts.summary,
        "root_cause": parts.root_cause,
        "resolution": parts.resolution,
        "provenance": Provenance.HUMAN,
        "edited_at": policy.at,
        "incident_digest": incident_digest(incident),
        "status": ReviewStatus.DRAFT,
        "reviewed_at": None,
        "reviewed_by": None,
    }
