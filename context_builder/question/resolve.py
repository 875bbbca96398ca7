"""Resolves a question: names become ids, times become a window, and what could not be used is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

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
from context_builder.question.confinement import confined_user, shown_events, user_ids
from context_builder.question.events import find_events
from context_builder.question.given_scope import resolve_scope
from context_builder.question.lookups import Lookups
from context_builder.question.meaning.understanding import Findings, understand
from context_builder.question.names.known_names import deployment_names_at
from context_builder.question.names.reading import find_names
from context_builder.question.request import (
    ContextRequest,
    QuestionInput,
    Scope,
    ScopeNames,
    UnknownName,
    Window,
)
from context_builder.question.text import read_text
from context_builder.question.topics import dimensions_of, topics_of
from models import Deployment, Incident
from models.database import ReadSession


async def resolve(
    ask: QuestionInput, lookups: Lookups, *, now: datetime, default_budget: int
) -> ContextRequest:
    """Resolve a question at the moment `now`.

    Raises:
        QuestionError: The question or one of its arguments is invalid, it compares more than two things, or
            the user that it is confined to is unknown.
    """
    question = check_question(ask.question)
    as_of = check_moment(ask.as_of, name="as_of", now=now) or now
    budget = check_budget(default_budget if ask.token_budget is None else ask.token_budget)
    if ask.asked_by is not None:
        check_name(ask.asked_by, kind="user", max_characters=MAX_USER_CHARACTERS)
    check_scope(ask.scope)
    confined = await confined_user(ask, lookups)
    if confined is not None:
        # Other users are not there from here on: their names are unknown like any other.
        lookups = lookups.confined_to(confined.id)
    window = _given_window(ask, as_of, now)
    scope = await _given_scope(ask.scope, lookups, as_of)
    text = await asyncio.to_thread(read_text, question)
    fleet = await lookups.once(("fleet", as_of), partial(deployment_names_at, as_of=as_of))
    names = await find_names(text.english, as_of, lookups, fleet)
    events = await find_events(text.english, names.mentions, as_of, lookups)
    if confined is not None:
        events = shown_events(events)
    findings = Findings(
        names=names.mentions,
        unknown=[unknown.span for unknown in names.unknown],
        events=events,
        fleet=fleet,
        given_window=window,
        given_scope=scope,
    )
    # Times are read several times where a question compares, which would block other questions.
    understood = await asyncio.to_thread(understand, text, as_of, findings)
    notes = understood.notes
    if confined is not None:
        understood, notes = confined.understood(understood), (confined.note, *notes)
    unknown = tuple(u.unknown for u in names.unknown) if scope is None else ()
    if ask.asked_by is not None and not await lookups.each("users", [ask.asked_by], user_ids):
        unknown = (*unknown, UnknownName(ask.asked_by))
    return ContextRequest(
        question=question,
        as_of=as_of,
        is_now=ask.as_of is None,
        window=understood.window,
        token_budget=budget,
        scope=await _with_incident_targets(understood.scope, lookups),
        topics=topics_of(text.english),
        dimensions=dimensions_of(question),
        unknown_names=unknown,
        sides=understood.sides,
        not_used=understood.not_used,
        notes=notes,
        confined_to=None if confined is None else confined.id,
    )


def _given_window(ask: QuestionInput, as_of: datetime, now: datetime) -> Window | None:
    if ask.since is None and ask.until is None:
        return None
    return explicit_window(ask.since, ask.until, as_of=as_of, now=now)


async def _given_scope(names: ScopeNames, lookups: Lookups, as_of: datetime) -> Scope | None:
    if names == ScopeNames():
        return None
    return await lookups.once(("scope", names, as_of), partial(resolve_scope, names, as_of=as_of))


async def _with_incident_targets(scope: Scope, lookups: Lookups) -> Scope:
    """Add the deployments that the incidents in scope affected, unless deployments are given."""
    if not scope.incident_ids or scope.deployment_ids:
        return scope

    async def read(session: ReadSession) -> list[Any]:
        rows = await session.execute(
            select(Deployment.id, Deployment.public_id)
            .join(Incident, Incident.deployment_id == Deployment.id)
            .where(Incident.id.in_(scope.incident_ids))
            .distinct()
        )
        return sorted(rows.all(), key=lambda row: row.public_id)

    affected = await lookups.once(("affected", scope.incident_ids), read)
    labels = (*scope.labels, *(f"deployment {row.public_id}" for row in affected))
    return replace(scope, deployment_ids=tuple(row.id for row in affected), labels=labels)
