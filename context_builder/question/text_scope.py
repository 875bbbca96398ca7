"""Resolves the scope that a question's text names, and the unknown names in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import select

from context_builder.question.deployment_names import DeploymentName, find_deployments
from context_builder.question.known_names import (
    MatchedRows,
    deployment_names_at,
    sample_incidents,
    sample_users,
)
from context_builder.question.names import candidate_ids, find_tiers
from context_builder.question.near_names import looks_like_id, unknown_names
from context_builder.question.request import Scope, UnknownName
from models import Incident, Request, User
from models.database import ReadSession

_PREFIXES: dict[type[User | Incident | Request], str] = {User: "user_", Incident: "inc_", Request: "req_"}
"""Prefixes of generated public ids; people omit them."""


async def scope_in_text(
    question: str, as_of: datetime, session: ReadSession
) -> tuple[Scope, tuple[UnknownName, ...]]:
    """Return the scope that the question names, and the words that look like names but match nothing."""
    deployments = await deployment_names_at(session, as_of)
    in_text = find_deployments(question, deployments)
    tiers = find_tiers(question)
    words = candidate_ids(question) - in_text.matched_words
    users = await _mentioned_rows(session, User, words, as_of)
    incidents = await _mentioned_rows(session, Incident, words, as_of)
    requests = await _mentioned_rows(session, Request, words, as_of)
    scope = Scope(
        deployment_ids=in_text.ids,
        tiers=tiers,
        user_ids=users.ids,
        incident_ids=incidents.ids,
        request_ids=requests.ids,
        labels=(
            *in_text.labels,
            *(f"tier {tier}" for tier in tiers),
            *(f"user {name}" for name in users.public_ids),
            *(f"incident {name}" for name in incidents.public_ids),
            *(f"request {name}" for name in requests.public_ids),
        ),
    )
    understood = {*in_text.matched_words, *users.words, *incidents.words, *requests.words}
    return scope, await _unknown_names(question, understood, _all_names(deployments), as_of, session)


async def _unknown_names(
    question: str, understood: set[str], names: list[str], as_of: datetime, session: ReadSession
) -> tuple[UnknownName, ...]:
    unknown = unknown_names(question, understood, names)
    if not any(looks_like_id(name.name) for name in unknown):
        return unknown
    ids = [*await sample_users(session, as_of), *await sample_incidents(session, as_of)]
    # Thousands of comparisons, off the event loop.
    return await asyncio.to_thread(unknown_names, question, understood, names, ids)


def _all_names(deployments: Iterable[DeploymentName]) -> list[str]:
    return [name for d in deployments for name in (d.public_id, d.model, d.backend)]


async def _mentioned_rows(
    session: ReadSession, table: type[User | Incident | Request], words: frozenset[str], as_of: datetime
) -> MatchedRows:
    """Load the rows whose public id is one of the words in a usual spelling, by the unique index."""
    written = {spelled: word for word in sorted(words) for spelled in _spellings(word, _PREFIXES[table])}
    if not written:
        return MatchedRows()
    since = Incident.started_at if table is Incident else getattr(table, "created_at")  # noqa: B009
    found = await session.execute(
        select(table.id, table.public_id).where(table.public_id.in_(list(written)), since <= as_of)
    )
    rows = sorted(((row[0], row[1]) for row in found), key=lambda row: row[1])
    return MatchedRows(
        ids=tuple(row_id for row_id, _ in rows),
        public_ids=tuple(public_id for _, public_id in rows),
        words=frozenset(written[public_id] for _, public_id in rows),
    )


def _spellings(word: str, prefix: str) -> Iterator[str]:
    """Yield the public ids a word may stand for: of `INC-42` and `42`, `inc_42` among others."""
    for spelled in (word, word.lower(), word.upper()):
        yield from (spelled, spelled.replace("-", "_"), f"{prefix}{spelled}")
