"""When sites operate: answers "is it offline because its site is closed or in maintenance?".

Columns: for each backend whether it is open, closed or in maintenance at `as_of`, when that ends (UTC), its
weekly hours in local time, and maintenance of the next 24 hours that was announced by `as_of`, with reason.
A deployment that is down or degraded meanwhile is said to be of low priority, unless that began before.
Operating hours are recorded without a history: at a past moment they are those of now, which is a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
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

AHEAD = timedelta(hours=24)
GRACE = timedelta(minutes=15)
"""A site may begin to shut down so long before it closes."""
MAX_SITES = 30
MAX_OFFLINE = 30
MAX_MAINTENANCE = 50
_MAX_ROWS = 2_000
_LISTED = 10
_OFFLINE = (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED)


@dataclass(frozen=True, slots=True)
class Site:
    """A backend's site at one moment."""

    backend: str
    hours: WeeklyHours
    maintenance: tuple[MaintenanceWindow, ...]
    """Announced and not over, the earliest first."""
    as_of: datetime

    @property
    def under_way(self) -> MaintenanceWindow | None:
        """The maintenance that it is in, the one that ends last."""
        now = [window for window in self.maintenance if window.starts_at <= self.as_of]
        return max(now, key=lambda window: (window.ends_at, window.id), default=None)

    @property
    def is_closed(self) -> bool:
        """Whether it does not operate at the moment."""
        return not self.hours.at(self.as_of).is_open


_EXPLAINED = frozenset(
    {Topic.HEALTH, Topic.INCIDENTS, Topic.ERRORS, Topic.LATENCY, Topic.VOLUME, Topic.CHANGES}
)
"""What planned work shows itself in."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """What is offline as planned, then the sites with something to say of them."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request)
        backends = sorted({deployment.backend for deployment in deployments})
        rows = await _hours(session, backends)
        maintenance = await _maintenance(session, backends, request)
    if not rows and not maintenance:
        return Section("no operating hours or maintenance of the sites in scope", status=Status.EMPTY)
    zones = await asyncio.to_thread(time_zones, {row.time_zone for row in rows})
    sites, gaps = _sites(backends, rows, maintenance, zones, request.as_of)
    if rows and not request.is_now:
        gaps += ("operating hours as they were at this moment: those shown are the ones recorded now",)
    if len(rows) == _MAX_ROWS:
        gaps += (f"operating hours beside the first {_MAX_ROWS:,} that were recorded",)
    facts = [*_offline(deployments, sites, request), *_facts(sites.values())]
    closed = sum(site.is_closed for site in sites.values())
    in_maintenance = sum(site.under_way is not None for site in sites.values())
    return Section(
        f"{format_count(len(sites), 'site')} of known hours: {closed:,} closed, {in_maintenance:,} in maintenance",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        gaps=gaps,
    )


async def _hours(session: ReadSession, backends: Sequence[str]) -> Sequence[OperatingHours]:
    found = await session.scalars(
        select(OperatingHours)
        .where(OperatingHours.backend.in_(backends))
        .order_by(OperatingHours.id)
        .limit(_MAX_ROWS)
    )
    return found.all()


async def _maintenance(
    session: ReadSession, backends: Sequence[str], request: ContextRequest
) -> Sequence[MaintenanceWindow]:
    found = await session.scalars(
        select(MaintenanceWindow)
        .where(
            MaintenanceWindow.backend.in_(backends),
            MaintenanceWindow.announced_at <= request.as_of,
            MaintenanceWindow.ends_at > request.as_of,
            MaintenanceWindow.starts_at <= request.as_of + AHEAD,
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
    """The sites by backend, without those whose time zone is unknown: each of them is a gap."""
    sites, gaps = {}, []
    for backend in backends:
        own = [row for row in rows if row.backend == backend]
        unknown = sorted({row.time_zone for row in own} - set(zones))
        if unknown:
            names = format_list(unknown, _LISTED)
            gaps.append(f"operating hours of {format_name(backend)}: its time zone {names} is not known")
        hours = WeeklyHours([] if unknown else own, zones)
        windows = tuple(window for window in maintenance if window.backend == backend)
        if windows or not unknown:
            sites[backend] = Site(backend, hours, windows, as_of)
    return sites, tuple(gaps)


def _offline(
    deployments: Iterable[Deployment], sites: Mapping[str, Site], request: ContextRequest
) -> Iterator[Fact]:
    """Deployments that are down or degraded while their site is closed or in maintenance."""
    found = [
        (deployment, sites[deployment.backend])
        for deployment in deployments
        if deployment.status in _OFFLINE
        and deployment.updated_at is not None
        and not is_overwritten(deployment, request)
        and deployment.backend in sites
        and (sites[deployment.backend].under_way or sites[deployment.backend].is_closed)
    ]
    for deployment, site in found[:MAX_OFFLINE]:
        head = f"{format_name(deployment.public_id)} is {deployment.status.upper()}"
        why, began = _reason(site)
        since = deployment.status_since
        if since is not None and began is not None and since < began - GRACE:
            text = (
                f"{head}, and its site {why}, but the trouble began at {format_time(since)}, before that at "
                f"{format_time(began)}: not explained by it"
            )
            short = f"{head} since before its site {why.partition(' (')[0]}"
        else:
            text = f"{head}, but its site {why}: expected, low priority"
            short = f"{head}, but its site {why.partition(' (')[0]}: expected, low priority"
        yield Fact(text, short, 1.0, _EXPLAINED, kind="deployments offline as planned")
    if len(found) > MAX_OFFLINE:
        names = format_list([deployment.public_id for deployment, _ in found[MAX_OFFLINE:]], _LISTED)
        text = f"also offline while their sites are closed or in maintenance: {names}"
        yield Fact(text, "", 0.9, kind="deployments offline as planned")


def _reason(site: Site) -> tuple[str, datetime | None]:
    """Why what is on the site may be offline, and since when; None: for more than a week."""
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


def _facts(sites: Iterable[Site]) -> Iterator[Fact]:
    """Sites in maintenance, closed, or soon in maintenance one by one, then those that are simply open."""
    told, always = [], []
    for site in sites:
        facts = list(_of_site(site))
        told += facts
        if not facts:
            always.append(site.backend)
    yield from sorted(told, key=lambda fact: -fact.importance)[: 2 * MAX_SITES]
    if always:
        text = f"sites without operating hours, which are always open: {format_list(always, _LISTED)}"
        yield Fact(text, "", 0.1, kind="sites that are always open")


def _of_site(site: Site) -> Iterator[Fact]:
    name = format_name(site.backend)
    for window in site.maintenance:
        reason = quote(window.reason)
        if window.starts_at <= site.as_of:
            left = format_duration(window.ends_at - site.as_of)
            head = f"site {name} is in MAINTENANCE until {format_time(window.ends_at)} UTC"
            text = f"{head} ({left} more), since {format_time(window.starts_at)}: {reason}"
            yield Fact(text, head, 0.9, _EXPLAINED, kind="maintenance windows")
        else:
            head = f"maintenance of site {name} begins at {format_time(window.starts_at)} UTC"
            ahead = format_duration(window.starts_at - site.as_of)
            text = f"{head} (in {ahead}) and ends at {format_time(window.ends_at)}: {reason}"
            yield Fact(text, head, 0.75, kind="maintenance windows")
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
    yield Fact(f"{head}; operating hours {site.hours.text}", head, importance, kind="operating hours")


source = ContextSource("schedule", "O", frozenset({Topic.HEALTH}), 2.0, read)
