"""Stores a batch of documents in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from api.archive.changes import Changes, ImportPolicy, plan_changes
from api.archive.document import Document
from api.archive.errors import DocumentRejected
from models import Deployment, Incident, Postmortem
from models.database import WriteSession


@dataclass(slots=True)
class Stored:
    """What became of a batch."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    forgotten: int = 0
    rejected: list[DocumentRejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    """What the database holds of a batch."""

    incidents: Mapping[str, Incident]
    postmortems: Mapping[int, Postmortem]
    deployments: Mapping[str, int]


async def store(session: WriteSession, documents: Sequence[Document], policy: ImportPolicy) -> Stored:
    """Adds and updates; rows that stay as they are are not written, so that memory has nothing to take in."""
    known = await _known(session, documents)
    stored = Stored()
    added: list[tuple[Incident, dict[str, Any]]] = []
    for document in documents:
        incident = known.incidents.get(document.public_id)
        if incident is not None and incident.forgotten_at is not None:
            stored.forgotten += 1
            stored.notes.append(
                f"{document.place}: incident {document.public_id} was forgotten here; it is not written again"
            )
            continue
        postmortem = known.postmortems.get(incident.id) if incident is not None else None
        try:
            changes = plan_changes(document, incident, postmortem, policy)
        except DocumentRejected as error:
            stored.rejected.append(error)
            continue
        _name_deployment(changes, document, known)
        if changes.kept:
            kept = ", ".join(changes.kept)
            stored.notes.append(f"{document.place}: kept as it is here: {kept}; --replace overwrites it")
        if incident is None:
            stored.added += 1
            added.append((Incident(**changes.incident), changes.postmortem))
            continue
        if not changes.incident and not changes.postmortem:
            stored.unchanged += 1
            continue
        stored.updated += 1
        _set(incident, changes.incident)
        if postmortem is not None:
            _set(postmortem, changes.postmortem)
        elif changes.postmortem:
            session.add(Postmortem(incident_id=incident.id, **changes.postmortem))
    await _add(session, added)
    return stored


async def _known(session: WriteSession, documents: Sequence[Document]) -> _Known:
    names = [document.public_id for document in documents]
    targets = {document.columns.get("target") for document in documents} - {None}
    incidents = await session.scalars(
        select(Incident).where(Incident.public_id.in_(names)).order_by(Incident.id).with_for_update()
    )
    by_name = {incident.public_id: incident for incident in incidents}
    postmortems = await session.scalars(
        select(Postmortem)
        .where(Postmortem.incident_id.in_([incident.id for incident in by_name.values()]))
        .order_by(Postmortem.id)
        .with_for_update()
    )
    deployments = await session.execute(
        select(Deployment.public_id, Deployment.id).where(Deployment.public_id.in_(targets))
    )
    return _Known(
        by_name,
        {postmortem.incident_id: postmortem for postmortem in postmortems},
        {row.public_id: row.id for row in deployments},
    )


def _name_deployment(changes: Changes, document: Document, known: _Known) -> None:
    """The deployment that the target names, where the target is set."""
    if "target" in changes.incident:
        changes.incident["deployment_id"] = known.deployments.get(document.columns["target"])


def _set(row: Incident | Postmortem, columns: Mapping[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, value)


async def _add(session: WriteSession, added: Sequence[tuple[Incident, dict[str, Any]]]) -> None:
    session.add_all([incident for incident, _ in added])
    await session.flush()
    session.add_all(
        [Postmortem(incident_id=incident.id, **columns) for incident, columns in added if columns]
    )
