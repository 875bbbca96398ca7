"""Resolves a question: names become ids, times become a window."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from context_builder.question.checks import (
    MAX_USER_CHARACTERS,
    check_budget,
    check_moment,
    check_name,
    check_question,
    check_scope,
    explicit_window,
)
from context_builder.question.given_scope import resolve_scope
from context_builder.question.names.reading import scope_in_text
from context_builder.question.request import (
    ContextRequest,
    QuestionInput,
    Scope,
    ScopeNames,
    UnknownName,
    Window,
)
from context_builder.question.time_phrases import find_window
from context_builder.question.topics import topics_of
from models import Deployment, Incident, User
from models.database import ReadSession


async def resolve(
    ask: QuestionInput, session: ReadSession, *, now: datetime, default_budget: int
) -> ContextRequest:
    """Resolve a question at the moment `now`.

    Raises:
        QuestionError: The question or one of its arguments is invalid.
    """
    question = check_question(ask.question)
    as_of = check_moment(ask.as_of, name="as_of", now=now) or now
    budget = check_budget(default_budget if ask.token_budget is None else ask.token_budget)
    if ask.asked_by is not None:
        check_name(ask.asked_by, kind="user", max_characters=MAX_USER_CHARACTERS)
    check_scope(ask.scope)
    window = await _window(ask, question, as_of, now)
    unknown: tuple[UnknownName, ...] = ()
    if ask.scope == ScopeNames():
        scope, unknown = await scope_in_text(question, as_of, session)
    else:
        scope = await resolve_scope(ask.scope, session, as_of=as_of)
    scope = await _with_incident_targets(scope, session)
    if (
        ask.asked_by is not None
        and await session.scalar(select(User.id).where(User.public_id == ask.asked_by)) is None
    ):
        unknown = (*unknown, UnknownName(ask.asked_by))
    return ContextRequest(
        question=question,
        as_of=as_of,
        is_now=ask.as_of is None,
        window=window,
        token_budget=budget,
        scope=scope,
        topics=topics_of(question),
        unknown_names=unknown,
    )


async def _window(ask: QuestionInput, question: str, as_of: datetime, now: datetime) -> Window:
    if ask.since is None and ask.until is None:
        # The date parser is slow enough to block other questions.
        return await asyncio.to_thread(find_window, question, as_of)
    return explicit_window(ask.since, ask.until, as_of=as_of, now=now)


async def _with_incident_targets(scope: Scope, session: ReadSession) -> Scope:
    """Add the deployments that the incidents in scope affected, unless deployments are given."""
    if not scope.incident_ids or scope.deployment_ids:
        return scope
    rows = await session.execute(
        select(Deployment.id, Deployment.public_id)
        .join(Incident, Incident.deployment_id == Deployment.id)
        .where(Incident.id.in_(scope.incident_ids))
        .distinct()
    )
    affected = sorted(rows, key=lambda row: row.public_id)
    labels = (*scope.labels, *(f"deployment {row.public_id}" for row in affected))
    return replace(scope, deployment_ids=tuple(row.id for row in affected), labels=labels)
