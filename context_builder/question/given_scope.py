"""Resolves a scope given by exact names."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from context_builder.question.checks import check_scope
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.names.known_names import (
    MatchedRows,
    deployment_names_at,
    require_known,
    sample_incidents,
    sample_users,
)
from context_builder.question.request import QuestionError, Scope, ScopeNames
from models import Incident, Tier, User
from models.database import ReadSession


async def resolve_scope(names: ScopeNames, session: ReadSession, *, as_of: datetime) -> Scope:
    """Return the ids of exact names; an empty field restricts nothing.

    Raises:
        QuestionError: A name is invalid or unknown at `as_of`, or no deployment matches all fields.
    """
    check_scope(names)
    require_known("tier", names.tiers, list(Tier))
    deployments = _matching(names, await deployment_names_at(session, as_of))
    users = await _exact_rows(session, User, names.users, as_of)
    incidents = await _exact_rows(session, Incident, names.incidents, as_of)
    return Scope(
        deployment_ids=tuple(deployment.id for deployment in deployments),
        tiers=names.tiers,
        user_ids=users.ids,
        incident_ids=incidents.ids,
        labels=(
            *(f"deployment {deployment.public_id}" for deployment in deployments),
            *(f"tier {name}" for name in names.tiers),
            *(f"user {name}" for name in users.public_ids),
            *(f"incident {name}" for name in incidents.public_ids),
        ),
    )


def _matching(names: ScopeNames, known: list[DeploymentName]) -> list[DeploymentName]:
    """Return the deployments that match every given field; none if no field is given."""
    matching = known
    for attribute, given in (
        ("public_id", names.deployments), ("model", names.models), ("backend", names.backends)
    ):  # fmt: skip
        kind = "deployment" if attribute == "public_id" else attribute
        require_known(kind, given, [getattr(deployment, attribute) for deployment in known])
        if given:
            matching = [deployment for deployment in matching if getattr(deployment, attribute) in given]
    if not (names.deployments or names.models or names.backends):
        return []
    if not matching:
        raise QuestionError("no deployment has all of the given deployments, models and backends")
    return matching


async def _exact_rows(
    session: ReadSession, table: type[User | Incident], names: tuple[str, ...], as_of: datetime
) -> MatchedRows:
    """Return the rows with exactly these public ids. Raises QuestionError for an unknown one."""
    since = User.created_at if table is User else Incident.started_at
    found = await session.execute(
        select(table.public_id, table.id).where(table.public_id.in_(names), since <= as_of)
    )
    known = {row[0]: row[1] for row in found}
    if not known.keys() >= set(names):
        near = await (sample_users if table is User else sample_incidents)(session, as_of)
        require_known(table.__name__.casefold(), names, known, near=near)
    public_ids = tuple(dict.fromkeys(names))
    return MatchedRows(tuple(known[public_id] for public_id in public_ids), public_ids)
