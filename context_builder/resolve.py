"""The resolver: names and times in a question become ids and a window, once per question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from sqlalchemy import select

from context_builder.deployment_names import DeploymentName, find_deployments
from context_builder.lookalikes import looks_like_id, unknown_names
from context_builder.moments import before
from context_builder.names import find_tiers, possible_ids
from context_builder.request import Ask, ContextRequest, QuestionError, Scope, ScopeNames, UnknownName, Window
from context_builder.time_phrases import DEFAULT_LENGTH, EARLIEST, find_window, whole_minutes
from context_builder.topics import topics_of
from models import Deployment, Incident, Request, Tier, User
from models.database import ReadSession

MAX_QUESTION_CHARACTERS = 4_000
MIN_TOKEN_BUDGET = 500
MAX_TOKEN_BUDGET = 1_000_000
MAX_NAMES = 100
"""How many names one field of a scope may hold."""
MAX_NAME_CHARACTERS = 200
MAX_USER_CHARACTERS = 100

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PREFIXES: dict[type[User | Incident | Request], str] = {User: "user_", Incident: "inc_", Request: "req_"}
"""How public ids begin that the gateway gives itself; people leave it out."""
_NEAR_NAMES = 5_000
"""How many known ids of a kind are compared when one is not known."""


@dataclass(frozen=True, slots=True)
class Named:
    """Rows of one table that a text names: ids and public ids side by side."""

    ids: tuple[int, ...] = ()
    public_ids: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    """The words of the text that named them."""


def check_question(text: object) -> str:
    """The question without outer white space. Raises QuestionError."""
    if not isinstance(text, str):
        raise QuestionError(f"a question is text, not {type(text).__name__}")
    question = text.strip()
    if not question:
        raise QuestionError("the question is empty; ask for example: Which deployments are unhealthy?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"the question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are accepted"
        )
    control = _CONTROL.search(question)
    if control:
        raise QuestionError(
            f"the question holds the control character U+{ord(control.group()):04X} "
            f"at position {control.start()}; only text is accepted"
        )
    if not any(character.isalnum() for character in question):
        raise QuestionError("the question holds no word; ask for example: Why are premium users slow?")
    return question


def check_moment(moment: datetime | None, *, name: str, now: datetime) -> datetime | None:
    """An aware moment that is not in the future, in UTC. Raises QuestionError naming the argument."""
    if moment is None:
        return None
    if moment.utcoffset() is None:
        raise QuestionError(
            f"{name} {moment.isoformat()} has no time zone; write for example 2026-11-20T08:00Z"
        )
    if moment > now:
        raise QuestionError(
            f"{name} {moment.isoformat()} is in the future; it is {now.isoformat(timespec='seconds')}"
        )
    if moment < EARLIEST:
        raise QuestionError(f"{name} {moment.isoformat()} is too early; accepted are moments from 1970 on")
    return moment.astimezone(UTC)


async def resolve(ask: Ask, session: ReadSession, *, now: datetime, default_budget: int) -> ContextRequest:
    """Resolves a question at the moment `now`. Raises QuestionError on what cannot be used."""
    question = check_question(ask.question)
    as_of = check_moment(ask.as_of, name="as_of", now=now) or now
    budget = check_budget(default_budget if ask.token_budget is None else ask.token_budget)
    if ask.asker is not None:
        check_name(ask.asker, kind="user", longest=MAX_USER_CHARACTERS)
    check_scope(ask.scope)
    window = await _window(ask, question, as_of, now)
    scope, unknown = await _scope(ask.scope, question, as_of, session)
    scope = await _with_incident_targets(scope, session)
    if (
        ask.asker is not None
        and await session.scalar(select(User.id).where(User.public_id == ask.asker)) is None
    ):
        unknown = (*unknown, UnknownName(ask.asker))
    return ContextRequest(
        question=question,
        as_of=as_of,
        live=ask.as_of is None,
        window=window,
        token_budget=budget,
        scope=scope,
        topics=topics_of(question),
        unknown_names=unknown,
        asker=ask.asker,
    )


def check_budget(tokens: int) -> int:
    """A usable token budget. Raises QuestionError."""
    if not MIN_TOKEN_BUDGET <= tokens <= MAX_TOKEN_BUDGET:
        raise QuestionError(
            f"a token budget of {tokens:,} cannot be used; "
            f"accepted are {MIN_TOKEN_BUDGET:,} to {MAX_TOKEN_BUDGET:,}"
        )
    return tokens


def check_name(name: str, *, kind: str, longest: int = MAX_NAME_CHARACTERS) -> None:
    """Raises QuestionError for a text that can be nobody's public id, whatever the database holds."""
    if not name.strip() or len(name) > longest or _CONTROL.search(name):
        raise QuestionError(
            f"{kind} {name[:40]!r} cannot be a name; accepted are 1 to {longest} characters of plain text"
        )


def check_scope(scope: ScopeNames) -> None:
    """Raises QuestionError for more names than a question can be about, and for what is no name."""
    for field in fields(scope):
        names: tuple[str, ...] = getattr(scope, field.name)
        if len(names) > MAX_NAMES:
            raise QuestionError(
                f"the scope names {len(names):,} {field.name}; at most {MAX_NAMES} are accepted"
            )
        for name in names:
            check_name(name, kind=field.name.removesuffix("s"))


async def resolve_scope(names: ScopeNames, session: ReadSession, *, as_of: datetime) -> Scope:
    """The ids of exact names; no names, no restriction. Raises QuestionError for one that is not known."""
    check_scope(names)
    return await _given_scope(names, await _known_deployments(session, as_of), as_of, session)


async def _window(ask: Ask, question: str, as_of: datetime, now: datetime) -> Window:
    if ask.since is None and ask.until is None:
        # The date parser is slow enough to hold up other questions.
        return await asyncio.to_thread(find_window, question, as_of)
    return given_window(ask.since, ask.until, as_of=as_of, now=now)


def given_window(
    since: datetime | None,
    until: datetime | None,
    *,
    as_of: datetime,
    now: datetime,
    length: timedelta = DEFAULT_LENGTH,
) -> Window:
    """The window that a caller gives exactly; by default it ends at `as_of` and has `length`.

    Raises QuestionError for moments that cannot be used, and for a window that holds no minute.
    """
    since = check_moment(since, name="since", now=now)
    until = check_moment(until, name="until", now=now)
    end = whole_minutes(min(until or as_of, as_of))
    start = whole_minutes(since) if since else before(end, length)
    if start >= end:
        raise QuestionError(
            f"the window from {start.isoformat()} to {end.isoformat()} is empty; "
            "since must be before until and before as_of, by a minute at least"
        )
    return Window(start, end, origin="given as an argument")


async def _scope(
    given: ScopeNames, question: str, as_of: datetime, session: ReadSession
) -> tuple[Scope, tuple[UnknownName, ...]]:
    deployments = await _known_deployments(session, as_of)
    if given != ScopeNames():
        return await _given_scope(given, deployments, as_of, session), ()
    in_text = find_deployments(question, deployments)
    tiers = find_tiers(question)
    words = possible_ids(question) - in_text.consumed
    users = await _named(session, User, words, as_of)
    incidents = await _named(session, Incident, words, as_of)
    requests = await _named(session, Request, words, as_of)
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
    understood = {*in_text.consumed, *users.words, *incidents.words, *requests.words}
    return scope, await _unknown(question, understood, _names_of(deployments), as_of, session)


async def _unknown(
    question: str, understood: set[str], names: list[str], as_of: datetime, session: ReadSession
) -> tuple[UnknownName, ...]:
    unknown = unknown_names(question, understood, names)
    if not any(looks_like_id(name.name) for name in unknown):
        return unknown
    ids = [*await some_users(session, as_of), *await some_incidents(session, as_of)]
    # Thousands of comparisons, which other questions need not wait for.
    return await asyncio.to_thread(unknown_names, question, understood, names, ids)


async def _with_incident_targets(scope: Scope, session: ReadSession) -> Scope:
    """An incident that is asked about brings the deployment that it hit along."""
    if not scope.incident_ids or scope.deployment_ids:
        return scope
    rows = await session.execute(
        select(Deployment.id, Deployment.public_id)
        .join(Incident, Incident.deployment_id == Deployment.id)
        .where(Incident.id.in_(scope.incident_ids))
        .distinct()
    )
    hit = sorted(rows, key=lambda row: row.public_id)
    labels = (*scope.labels, *(f"deployment {row.public_id}" for row in hit))
    return replace(scope, deployment_ids=tuple(row.id for row in hit), labels=labels)


async def _given_scope(
    given: ScopeNames, deployments: list[DeploymentName], as_of: datetime, session: ReadSession
) -> Scope:
    """The scope that a caller named exactly. Raises QuestionError for a name that is not known."""
    require_known("deployment", given.deployments, [d.public_id for d in deployments])
    require_known("model", given.models, [d.model for d in deployments])
    require_known("backend", given.backends, [d.backend for d in deployments])
    require_known("tier", given.tiers, list(Tier))
    users = await _given(session, User, given.users, as_of)
    incidents = await _given(session, Incident, given.incidents, as_of)
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


async def _given(
    session: ReadSession, table: type[User | Incident], names: tuple[str, ...], as_of: datetime
) -> Named:
    """The rows that a caller named exactly. Raises QuestionError for a name that is not known."""
    since = User.created_at if table is User else Incident.started_at
    found = await session.execute(
        select(table.public_id, table.id).where(table.public_id.in_(names), since <= as_of)
    )
    known = {row[0]: row[1] for row in found}
    if not known.keys() >= set(names):
        near = await (some_users if table is User else some_incidents)(session, as_of)
        require_known(table.__name__.casefold(), names, known, near=near)
    public_ids = tuple(dict.fromkeys(names))
    return Named(tuple(known[public_id] for public_id in public_ids), public_ids)


def require_known(
    kind: str, names: Sequence[str], known: Iterable[str], near: Iterable[str] | None = None
) -> None:
    """Raises QuestionError, with names that are spelled alike, for a name that is not known."""
    accepted = list(dict.fromkeys(known))
    for name in names:
        if name not in accepted:
            raise QuestionError(not_known(kind, name, accepted if near is None else list(near)))


def not_known(kind: str, name: str, candidates: Sequence[str]) -> str:
    """A sentence on a name that is not known, with known ones that are spelled alike."""
    alike = get_close_matches(name, candidates, n=3, cutoff=0.6) or sorted(candidates)[:5]
    hint = f"; known are for example {', '.join(alike)}" if alike else "; none is known yet"
    return f"{kind} {name!r} is not known{hint}"


def _names_of(deployments: Iterable[DeploymentName]) -> list[str]:
    return [name for d in deployments for name in (d.public_id, d.model, d.backend)]


async def _known_deployments(session: ReadSession, as_of: datetime) -> list[DeploymentName]:
    rows = await session.execute(
        select(Deployment.id, Deployment.public_id, Deployment.model, Deployment.backend).where(
            Deployment.created_at <= as_of
        )
    )
    # Databases sort text each in their own way.
    return sorted((DeploymentName(*row) for row in rows), key=lambda deployment: deployment.public_id)


async def _named(
    session: ReadSession, table: type[User | Incident | Request], words: frozenset[str], as_of: datetime
) -> Named:
    """Rows whose public id is one of the words, in the usual spellings; found by the unique index."""
    written = {spelled: word for word in sorted(words) for spelled in _spellings(word, _PREFIXES[table])}
    if not written:
        return Named()
    since = Incident.started_at if table is Incident else getattr(table, "created_at")  # noqa: B009
    found = await session.execute(
        select(table.id, table.public_id).where(table.public_id.in_(list(written)), since <= as_of)
    )
    rows = sorted(((row[0], row[1]) for row in found), key=lambda row: row[1])
    return Named(
        ids=tuple(row_id for row_id, _ in rows),
        public_ids=tuple(public_id for _, public_id in rows),
        words=frozenset(written[public_id] for _, public_id in rows),
    )


def _spellings(word: str, prefix: str) -> Iterator[str]:
    """`INC-42`, `inc_42` and, where only an incident can be meant, `42`."""
    for spelled in (word, word.lower(), word.upper()):
        yield from (spelled, spelled.replace("-", "_"), f"{prefix}{spelled}")


async def some_users(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Known users, for near matches."""
    found = await session.scalars(
        select(User.public_id).where(User.created_at <= as_of).order_by(User.id).limit(_NEAR_NAMES)
    )
    return found.all()


async def some_incidents(session: ReadSession, as_of: datetime) -> Sequence[str]:
    """Known incidents, for near matches."""
    found = await session.scalars(
        select(Incident.public_id)
        .where(Incident.started_at <= as_of)
        .order_by(Incident.started_at.desc())
        .limit(_NEAR_NAMES)
    )
    return found.all()
