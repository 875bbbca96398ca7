"""Site schedules: answers "is it offline because its site is closed or in maintenance?".

Columns: for each backend whether it is open, closed or in maintenance at `as_of`, when that ends (UTC), its
weekly hours in local time, and maintenance of the next 24 hours announced by `as_of`, with its reason. A
deployment that is down or degraded during that time is low priority, unless that began earlier. Operating
hours have no history: at a past moment the current ones are shown, which is a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
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
from context_builder.telemetry.fleet import is_overwritten, known_deployments
from context_builder.telemetry.operating_hours import WeeklyHours, time_zones
from context_builder.text.formatting import (
    format_count,
    format_duration,
    format_list,
    format_name,
    format_time,
)
from context_builder.text.sanitize import quote
from models import Deployment, DeploymentStatus, MaintenanceWindow, OperatingHours
from models.database import ReadSession

MAINTENANCE_AHEAD = timedelta(hours=24)
SHUTDOWN_GRACE = timedelta(minutes=15)
"""A site may start to shut down this long before it closes."""
MAX_SITES = 30
MAX_OFFLINE = 30
MAX_MAINTENANCE = 50
_MAX_ROWS = 2_000
_MAX_NAMES = 10
_OFFLINE = (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class Site:
    """A backend's site as of one moment."""

    backend: str
    hours: WeeklyHours
    maintenance: tuple[MaintenanceWindow, ...]
    """Announced windows that are not over, the earliest first."""
    as_of: datetime

    @property
    def under_way(self) -> MaintenanceWindow | None:
        """Return the maintenance window in progress, the one that ends last; None if there is none."""
        now = [window for window in self.maintenance if window.starts_at <= self.as_of]
        return max(now, key=lambda window: (window.ends_at, window.id), default=None)

    @property
    def is_closed(self) -> bool:
        """True if the site is outside its operating hours."""
        return not self.hours.at(self.as_of).is_open


_PLANNED_WORK_TOPICS = frozenset(
    {Topic.HEALTH, Topic.INCIDENTS, Topic.ERRORS, Topic.LATENCY, Topic.VOLUME, Topic.CHANGES}
)
"""Topics in which planned work shows up."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the deployments that are offline as planned, then the state of each site."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
        backends = sorted({deployment.backend for deployment in deployments})
        rows = await _load_hours(session, backends)
        maintenance = await _load_maintenance(session, backends, request)
    if not rows and not maintenance:
        return Section(
            "no operating hours or maintenance for sites in scope", status=Status.EMPTY, applies=False
        )
    zones = await asyncio.to_thread(time_zones, {row.time_zone for row in rows})
    sites, gaps = _sites(backends, rows, maintenance, zones, request.as_of)
    if rows and not request.is_now:
        gaps += ("operating hours as they were at this moment: those shown are the current ones",)
    if len(rows) == _MAX_ROWS:
        gaps += (f"operating hours beyond the first {_MAX_ROWS:,} recorded",)
    facts = [*_offline_facts(deployments, sites, request), *_site_facts(sites.values())]
    closed = sum(site.is_closed for site in sites.values())
    in_maintenance = sum(site.under_way is not None for site in sites.values())
    header = (
        f"{format_count(len(sites), 'site')} with known hours: "
        f"{closed:,} closed, {in_maintenance:,} in maintenance"
    )
    headline = Headline(text=header, role=Role.COUNT, nouns=(Noun.BACKEND, Noun.MAINTENANCE))
    return Section(header, by_importance(facts), gaps=gaps, headline=headline)


async def _load_hours(session: ReadSession, backends: Sequence[str]) -> Sequence[OperatingHours]:
    found = await session.scalars(
        select(OperatingHours)
        .where(OperatingHours.backend.in_(backends))
        .order_by(OperatingHours.id)
        .limit(_MAX_ROWS)
    )
    return found.all()


async def _load_maintenance(
    session: ReadSession, backends: Sequence[str], request: ContextRequest
) -> Sequence[MaintenanceWindow]:
    found = await session.scalars(
        select(MaintenanceWindow)
        .where(
            MaintenanceWindow.backend.in_(backends),
            MaintenanceWindow.announced_at <= request.as_of,
            MaintenanceWindow.ends_at > request.as_of,
            MaintenanceWindow.starts_at <= request.as_of + MAINTENANCE_AHEAD,
        )
        .order_by(MaintenanceWindow.starts_at, MaintenanceWindow.id)
        .limit(MAX_MAINTENANCE)
    )
    return found.all()


def _sites(
    backends: Iterable[str],
    rows: Sequence[OperatingHours],
    maintenance: Sequence[MaintenanceWindow],
    zones: Mapping[str, ZoneInfo],
    as_of: datetime,
) -> tuple[dict[str, Site], tuple[str, ...]]:
    """Return the sites by backend; a site whose time zone is unknown becomes a gap instead."""
    sites, gaps = {}, []
    for backend in backends:
        own = [row for row in rows if row.backend == backend]
        unknown = sorted({row.time_zone for row in own} - set(zones))
        if unknown:
            names = format_list(unknown, _MAX_NAMES)
            gaps.append(f"operating hours of {format_name(backend)}: its time zone {names} is unknown")
        hours = WeeklyHours([] if unknown else own, zones)
        windows = tuple(window for window in maintenance if window.backend == backend)
        if windows or not unknown:
            sites[backend] = Site(backend, hours, windows, as_of)
    return sites, tuple(gaps)


def _offline_facts(
    deployments: Iterable[Deployment], sites: Mapping[str, Site], request: ContextRequest
) -> Iterator[Fact]:
    """Yield the deployments that are down or degraded while their site is closed or in maintenance."""
    found = [
        (deployment, site)
        for deployment in deployments
        if (site := sites.get(deployment.backend)) is not None
        and (site.under_way or site.is_closed)
        and _is_offline(deployment, request)
    ]
    for deployment, site in found[:MAX_OFFLINE]:
        yield _offline_fact(deployment, site)
    if len(found) > MAX_OFFLINE:
        names = format_list([deployment.public_id for deployment, _ in found[MAX_OFFLINE:]], _MAX_NAMES)
        text = f"also offline while their sites are closed or in maintenance: {names}"
        yield Fact(text, "", 0.9, kind="deployments offline as planned")


def _is_offline(deployment: Deployment, request: ContextRequest) -> bool:
    """Return whether a report that counts at `as_of` says down or degraded."""
    is_reported = deployment.updated_at is not None and not is_overwritten(deployment, request)
    return is_reported and deployment.status in _OFFLINE


def _offline_fact(deployment: Deployment, site: Site) -> Fact:
    """Say whether the site's schedule explains that a deployment is offline."""
    head = f"{format_name(deployment.public_id)} is {deployment.status.upper()}"
    why, began = _describe_closure(site)
    since, short_why = deployment.status_since, why.partition(" (")[0]
    if since is None or began is None or since >= began - SHUTDOWN_GRACE:
        text, short = (
            f"{head}, but its site {reason}: expected, low priority" for reason in (why, short_why)
        )
    else:
        text = (
            f"{head}, and its site {why}, but the problem began at {format_time(since)}, before that at "
            f"{format_time(began)}: not explained by it"
        )
        short = f"{head} since before its site {short_why}"
    headline = _headline(short, Noun.DEPLOYMENT)
    kind = "deployments offline as planned"
    return Fact(text, short, 1.0, _PLANNED_WORK_TOPICS, kind=kind, headline=headline)


def _describe_closure(site: Site) -> tuple[str, datetime | None]:
    """Return why the site is offline and since when; None: for more than a week."""
    window = site.under_way
    if window is not None:
        why = (
            f"{format_name(site.backend)} is in announced maintenance until {format_time(window.ends_at)} UTC"
        )
        return f"{why} ({quote(window.reason)})", window.starts_at
    state = site.hours.at(site.as_of)
    until = f"until {format_time(state.until)} UTC" if state.until else "for more than a week"
    why = f"{format_name(site.backend)} is closed {until} (opens {site.hours.text})"
    return why, state.since


def _site_facts(sites: Iterable[Site]) -> Iterator[Fact]:
    """Yield the facts of each site; those without hours or maintenance share one."""
    found, always_open = [], []
    for site in sites:
        facts = list(_facts_of(site))
        found += facts
        if not facts:
            always_open.append(site.backend)
    yield from by_importance(found)[: 2 * MAX_SITES]
    if always_open:
        text = f"sites without operating hours, which are always open: {format_list(always_open, _MAX_NAMES)}"
        yield Fact(text, "", 0.1, kind="sites that are always open")


def _facts_of(site: Site) -> Iterator[Fact]:
    name = format_name(site.backend)
    for window in site.maintenance:
        reason = quote(window.reason)
        if window.starts_at <= site.as_of:
            left = format_duration(window.ends_at - site.as_of)
            head = f"site {name} is in MAINTENANCE until {format_time(window.ends_at)} UTC"
            text = f"{head} ({left} left), since {format_time(window.starts_at)}: {reason}"
            headline = _headline(head, Noun.MAINTENANCE)
            yield Fact(text, head, 0.9, _PLANNED_WORK_TOPICS, kind="maintenance windows", headline=headline)
        else:
            head = f"maintenance of site {name} begins at {format_time(window.starts_at)} UTC"
            ahead = format_duration(window.starts_at - site.as_of)
            text = f"{head} (in {ahead}) and ends at {format_time(window.ends_at)}: {reason}"
            headline = _headline(f"{head} and ends at {format_time(window.ends_at)}", Noun.MAINTENANCE)
            yield Fact(text, head, 0.75, kind="maintenance windows", headline=headline)
    if not site.hours:
        return
    state = site.hours.at(site.as_of)
    if state.is_open:
        until = f"until {format_time(state.until)} UTC" if state.until else "around the clock"
        head = f"site {name} is open {until}"
        importance = 0.35
    else:
        until = (
            f"opens next at {format_time(state.until)} UTC" if state.until else "does not open within a week"
        )
        head = f"site {name} is CLOSED, {until}"
        importance = 0.7
    text = f"{head}; operating hours {site.hours.text}"
    yield Fact(text, head, importance, kind="operating hours", headline=_headline(head, Noun.BACKEND))


def _headline(text: str, noun: Noun) -> Headline:
    return Headline(text=text, role=Role.STATE, nouns=(noun,))


source = ContextSource(
    "schedule",
    "O",
    frozenset({Topic.HEALTH}),
    2.0,
    read,
    shows_to_confined=Shown.ALL,
)
