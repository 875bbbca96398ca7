"""What providers say of themselves: answers "is it us or them?".

Columns: backend, open incidents of its provider with severity and start (UTC), what its status page says and
when it was read, and, of the last RECENT minutes, the share of failed requests (%) on the backend and on all
others. A page is as old as its last successful poll; one that could not be read for long is stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import by_minute
from context_builder.rollups.table import REQUESTS
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.fleet import known_deployments, latest_accepted_report
from context_builder.telemetry.incident_state import open_at
from context_builder.telemetry.polled.pollers import PollerHealth, PollerReport, poller_reports
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_name,
    format_percent,
    format_time,
)
from context_builder.text.sanitize import quote
from models import FAILED_STATUSES, Incident, PollerKind, RequestStatus
from models.database import ReadSession

RECENT = timedelta(minutes=30)
"""Span of the requests that a page is compared with."""
NOTABLE_FAILED_PERCENT = 5
"""Percent of requests that must fail on a backend before the silence of its page is remarkable."""
MIN_FAILED = 10
"""Failed requests below which that is chance."""
MAX_INCIDENTS = 30
_FROM_PAGES = "sp\\_%"
"""Ids of incidents that come from status pages."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Ended requests, and how many of them failed."""

    requests: int = 0
    failed: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.requests + other.requests, self.failed + other.failed)

    @property
    def is_failing(self) -> bool:
        """True if more fail than can be chance."""
        return self.failed >= MIN_FAILED and 100 * self.failed >= NOTABLE_FAILED_PERCENT * self.requests


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the open incidents of providers, then what the pages of the others say."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
        backends = sorted({deployment.backend for deployment in deployments})
        pages = [each for each in await poller_reports(session, request.as_of, PollerKind.STATUS_PAGE)
                 if each.about in backends]  # fmt: skip
        incidents = await _open_incidents(session, backends, request)
    if not pages and not incidents:
        return Section("no status page of a provider is polled", status=Status.EMPTY, applies=False)
    scope = await rollup_scope(stores.rollups, request)
    end = floor_to_minute(request.as_of)
    rows = await stores.rollups.read(REQUESTS, *by_minute(Window(end - RECENT, end)))
    traffic = await asyncio.to_thread(lambda: _traffic(scope.of(rows)))
    later = [page for page in pages if page.polled_at > latest_accepted_report(request)]
    current = [page for page in pages if page not in later]
    facts = [
        *_incident_facts(incidents, traffic, request),
        *_page_facts(current, incidents, traffic, request),
    ]
    with_incident = {incident.target for incident in incidents}
    header = (
        f"{format_count(len(incidents), 'open incident')} of {format_count(len(with_incident), 'provider')}; "
        f"{format_count(len(current), 'status page')} read"
    )
    is_stale = any(page.health is PollerHealth.STALE for page in current)
    gaps = tuple(f"what the status page of {format_name(page.about)} said at this moment" for page in later)
    headline = _headline(header, Role.COUNT, alarm=bool(incidents) or None)
    status = Status.STALE if is_stale else Status.OK
    return Section(header, by_importance(facts), status, gaps + scope.gaps, headline)


async def _open_incidents(
    session: ReadSession, backends: Sequence[str], request: ContextRequest
) -> list[Incident]:
    found = await session.scalars(
        select(Incident)
        .where(
            Incident.target.in_(backends),
            Incident.public_id.like(_FROM_PAGES, escape="\\"),
            Incident.forgotten_at.is_(None),
            open_at(request.as_of),
        )
        .order_by(Incident.started_at.desc(), Incident.public_id)
        .limit(MAX_INCIDENTS)
    )
    return list(found)


def _traffic(rows: Rows) -> Mapping[str, Traffic]:
    """Return what ended on each backend."""
    rows = rows.where(~rows.having("status", (RequestStatus.PENDING,)))
    names, places = rows.labels("backend")
    groups = Groups(places)
    requests = rows["requests"]
    failed = requests * rows.having("status", FAILED_STATUSES)
    counts = zip(places[groups.first].tolist(), groups.sum(requests).tolist(), groups.sum(failed).tolist(),
                 strict=True)  # fmt: skip
    return {names[place]: Traffic(ended, lost) for place, ended, lost in counts}


def _incident_facts(
    incidents: Sequence[Incident], traffic: Mapping[str, Traffic], request: ContextRequest
) -> Iterator[Fact]:
    for incident in incidents:
        backend = incident.target or ""
        lasts = format_duration(request.as_of - incident.started_at)
        short = (
            f"the provider of {format_name(backend)} reports {quote(incident.title)} ({incident.severity}) "
            f"since {format_time(incident.started_at)} ({lasts})"
        )
        shares = _shares(backend, traffic)
        yield Fact(
            f"{short}{shares}",
            short,
            0.95 if traffic.get(backend, Traffic()).is_failing else 0.7,
            kind="incidents of providers",
            headline=_headline(f"{short}{shares}", Role.STATE, alarm=True),
        )


def _page_facts(
    pages: Sequence[PollerReport],
    incidents: Sequence[Incident],
    traffic: Mapping[str, Traffic],
    request: ContextRequest,
) -> Iterator[Fact]:
    with_incident = {incident.target for incident in incidents}
    for page in pages:
        name = format_name(page.about)
        if page.health is PollerHealth.STALE or page.succeeded_at is None:
            since = f"last read {format_time(page.succeeded_at)}" if page.succeeded_at else "was never read"
            error = f": {quote(page.error)}" if page.error else ""
            text = f"the status page of {name} {since}{error}; what it says now is unknown"
            yield Fact(text, importance=0.4, kind="status pages",
                       headline=_headline(text, Role.STATE, alarm=None))  # fmt: skip
            continue
        age = format_duration(max(request.as_of - page.succeeded_at, timedelta(0)))
        said = f", it says {quote(page.summary)}" if page.summary else ""
        is_silent = page.about not in with_incident
        head = f"the status page of {name} has {'no' if is_silent else 'an'} open incident"
        short = f"{head} (read {age} ago)"
        own = traffic.get(page.about, Traffic())
        text = f"{short}{said}"
        if is_silent:
            text += _shares(page.about, traffic)
            if own.is_failing:
                text += ": the fault is ours, or not reported yet"
        yield Fact(
            text,
            short,
            0.8 if is_silent and own.is_failing else 0.35,
            kind="status pages",
            headline=_headline(text, Role.STATE, alarm=False if is_silent and not own.is_failing else None),
        )


def _shares(backend: str, traffic: Mapping[str, Traffic]) -> str:
    """Return how requests end on a backend, and on the others in scope."""
    own = traffic.get(backend, Traffic())
    if not own.requests:
        return f"; no request was sent there in the last {RECENT // timedelta(minutes=1)} minutes"
    text = (
        f"; of {format_count(own.requests, 'request')} there in the last "
        f"{RECENT // timedelta(minutes=1)} minutes {format_percent(own.failed, own.requests)} failed"
    )
    others = sum((each for name, each in traffic.items() if name != backend), Traffic())
    if others.requests:
        text += f", elsewhere {format_percent(others.failed, others.requests)}"
    return text


def _headline(text: str, role: Role, *, alarm: bool | None) -> Headline:
    return Headline(text=text, role=role, nouns=(Noun.BACKEND, Noun.INCIDENT), topic=None, alarm=alarm)


source = ContextSource(
    "providers",
    "PV",
    frozenset({Topic.HEALTH, Topic.INCIDENTS, Topic.ERRORS}),
    2.0,
    read,
    # Shares of failed requests are a total of all users.
    shows_to_confined=Shown.NOTHING,
)
