"""The scope that a caller gives by exact names."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from context_builder.question.checks import check_scope
from context_builder.question.deployment_names import DeploymentName
from context_builder.question.known_names import (
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
    """The ids of exact names; no names, no restriction. Raises QuestionError for one that is not known."""
    check_scope(names)
    return await given_scope(names, await deployment_names_at(session, as_of), as_of, session)


async def given_scope(
    given: ScopeNames, deployments: list[DeploymentName], as_of: datetime, session: ReadSession
) -> Scope:
    """The scope that a caller named exactly. Raises QuestionError for a name that is not known."""
    require_known("deployment", given.deployments, [d.public_id for d in deployments])
    require_known("model", given.models, [d.model for d in deployments])
    require_known("backend", given.backends, [d.backend for d in deployments])
    require_known("tier", given.tiers, list(Tier))
    users = await _exact_rows(session, User, given.users, as_of)
    incidents = await _exact_rows(session, Incident, given.incidents, as_of)
    chosen = [
        deployment
        for deployment in deployments
        if (not given.deployments or deployment.public_id in given.deployments)
        and (not given.models or deployment.model in given.models)
        and (not given.backends or deployment.backend in given.backends)
    ]
    restricted = bool(given.deployments or given.models or given.backends)
    if restricted and not chosen:
        raise QuestionError("no deployment has all of the given deployments, models and backends")
    return Scope(
        deployment_ids=tuple(deployment.id for deployment in chosen) if restricted else (),
        tiers=given.tiers,
        user_ids=users.ids,
        incident_ids=incidents.ids,
        labels=(
            *(f"deployment {deployment.public_id}" for deployment in chosen if restricted),
            *(f"tier {name}" for name in given.tiers),
            *(f"user {name}" for name in users.public_ids),
            *(f"incident {name}" for name in incidents.public_ids),
        ),
    )


async def _exact_rows(
    session: ReadSession, table: type[User | Incident], names: tuple[str, ...], as_of: datetime
) -> MatchedRows:
    """The rows that a caller named exactly. Raises QuestionError for a name that is not known."""
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
