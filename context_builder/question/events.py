"""Finds times that are named by an event, such as "since the last deploy", and looks the event up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from context_builder.question.lookups import Lookups
from context_builder.question.mention import NameKind, NameMention, TextSpan
from context_builder.question.request import Interval
from context_builder.text.formatting import format_time
from models import (
    ConfigChange,
    Deployment,
    Incident,
    Job,
    JobType,
    MaintenanceWindow,
    RequestRollup,
    Resolution,
)
from models.database import ReadSession

_RELATION = r"(?:since|before|after|during|until|till|around|from|between|following|prior to|while|when)"
_WHICH = (
    r"(?:(?:the|our|its|this|that|a) )?"
    r"(?:(?:very )?(?:last|latest|newest|recent|most recent|previous|current|big) )?"
)
_NOUNS = {
    "rollout": r"deploys?|deployment|roll-?out|release|upgrade|update",
    "change": r"(?:config(?:uration)?|settings?|parameter|route|routing) (?:change|push|update|edit)",
    "scale": r"(?:scale|scaling)(?:[ -](?:up|down|event|in|out))?",
    "drain": r"drain(?:ing)?",
    "firmware": r"firmware (?:update|upgrade)",
    "image": r"image (?:update|upgrade)",
    "maintenance": r"maintenance(?: window)?",
    "incident": r"incident|outage",
}
_EVENT = "|".join(rf"(?P<{kind}>{nouns})" for kind, nouns in reversed(_NOUNS.items()))
_VERSION = (
    r"(?:(?:router|gateway|version|release) )*(?P<version>v\d+(?:\.\d+){1,3}(?:[-+.][\w.]+)?|\d+\.\d+\.\d+)"
)
_TIMED_EVENT = re.compile(
    rf"\b(?P<relation>{_RELATION})(?: (?:the )?(?:deploy|deployment|roll-?out|release|upgrade) (?:of|to))? "
    rf"(?P<event>{_WHICH}(?:{_EVENT}|{_VERSION}|(?P<row>(?:cfg|job)_[\w-]+)))(?![\w-])",
    re.IGNORECASE,
)
_TIMED_BEFORE = re.compile(
    rf"\b(?:{_RELATION}|between\b.{{1,60}} and)(?: (?:the|incident|outage|time|of|and|after|before|vs))* $",
    re.IGNORECASE,
)
_JOBS = {
    "rollout": JobType.ROLLOUT,
    "scale": JobType.SCALE,
    "drain": JobType.DRAIN,
    "firmware": JobType.FIRMWARE_UPDATE,
    "image": JobType.IMAGE_UPDATE,
}
_WITHIN = ("during", "while", "when")
_CHARACTERS_BEFORE = 90
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventMention:
    """An event that a time refers to."""

    span: TextSpan
    interval: Interval | None
    """Start equals end for an event of one moment; None if no such event is recorded."""
    label: str
    """What it is and when, or why there is none."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    session: ReadSession
    as_of: datetime
    deployment_ids: tuple[int, ...]

    def near(self, table: type[Job | ConfigChange]) -> ColumnElement[bool]:
        """Return the condition for events of the named deployments and of the whole gateway."""
        if not self.deployment_ids:
            return true()
        return or_(table.deployment_id.in_(self.deployment_ids), table.deployment_id.is_(None))


async def find_events(
    text: str, names: Sequence[NameMention], as_of: datetime, lookups: Lookups
) -> tuple[EventMention, ...]:
    """Return the events that times of the question refer to, and where they stand in its English text."""
    incidents = [name for name in names if _is_timed(name, text)]
    matches = list(_named_events(text, [span for name in names for span in name.spans]))
    ids = tuple(i for name in names if name.kind is NameKind.DEPLOYMENT for i in name.ids)

    async def read(session: ReadSession) -> tuple[EventMention, ...]:
        lookup = _Lookup(session, as_of, ids)
        found = [await _incident(name, lookup) for name in incidents]
        found += [await _event(match, TextSpan(*match.span("event")), lookup) for match in matches]
        return tuple(sorted(found, key=lambda event: event.span))

    return await lookups.once(("events", text, as_of), read) if incidents or matches else ()


def _named_events(text: str, taken: Sequence[TextSpan]) -> Iterator[re.Match[str]]:
    """Yield the events beside the names that are `taken`; `deployment` before one of them is its noun."""
    for match in _TIMED_EVENT.finditer(text):
        start, end = match.span("event")
        followed = any(text[end : other.start].strip() == "" and other.start >= end for other in taken)
        if not (followed and match["rollout"]) and not any(o.start < end and start < o.end for o in taken):
            yield match


def _is_timed(name: NameMention, text: str) -> bool:
    start = name.spans[0].start
    before = text[max(0, start - _CHARACTERS_BEFORE) : start]
    return name.kind is NameKind.INCIDENT and _TIMED_BEFORE.search(before) is not None


async def _incident(name: NameMention, lookup: _Lookup) -> EventMention:
    row = (
        await lookup.session.execute(
            select(Incident.public_id, Incident.started_at, Incident.resolved_at).where(
                Incident.id == name.ids[0]
            )
        )
    ).one()
    return _spanning(name.spans[0], row.public_id, row.started_at, row.resolved_at, lookup.as_of)


async def _event(match: re.Match[str], span: TextSpan, lookup: _Lookup) -> EventMention:
    kind = next(kind for kind in (*_NOUNS, "version", "row") if match[kind])
    if kind == "version":
        return await _version(match["version"], span, lookup)
    found = await _FINDERS.get(kind, _job)(kind, match["row"], span, lookup)
    if found is None:
        name = match["event"].split()[-1]
        return EventMention(span, None, f"no {name} is recorded before the moment asked about")
    is_within = match["relation"].casefold() in _WITHIN
    if kind in ("incident", "maintenance") or is_within or found.interval is None:
        return found
    # What a rollout changes begins with it.
    return replace(found, interval=Interval(found.interval.start, found.interval.start))


async def _job(kind: str, row_id: str | None, span: TextSpan, lookup: _Lookup) -> EventMention | None:
    began = func.coalesce(Job.started_at, Job.created_at)
    asked = Job.public_id == row_id if row_id else and_(Job.type == _JOBS[kind], lookup.near(Job))
    statement = (
        select(Job.public_id, Job.type, Job.target, Job.detail, began.label("began"), Job.finished_at)
        .where(asked, began <= lookup.as_of)
        .order_by(began.desc(), Job.id.desc())
    )
    row = (await lookup.session.execute(statement.limit(1))).first()
    if row is None:
        return await _config_change(kind, row_id, span, lookup) if row_id else None
    what = f"{row.type.replace('_', ' ')} {row.public_id} of {row.target}"
    return _spanning(span, what, row.began, row.finished_at, lookup.as_of)


async def _config_change(
    _kind: str, row_id: str | None, span: TextSpan, lookup: _Lookup
) -> EventMention | None:
    asked = ConfigChange.public_id == row_id if row_id else lookup.near(ConfigChange)
    statement = (
        select(ConfigChange.public_id, ConfigChange.target, ConfigChange.parameter, ConfigChange.changed_at)
        .where(ConfigChange.changed_at <= lookup.as_of, asked)
        .order_by(ConfigChange.changed_at.desc(), ConfigChange.id.desc())
    )
    row = (await lookup.session.execute(statement.limit(1))).first()
    return row and _at(span, f"{row.public_id} ({row.parameter} of {row.target})", row.changed_at)


async def _maintenance(_kind: str, _id: str | None, span: TextSpan, lookup: _Lookup) -> EventMention | None:
    statement = (
        select(MaintenanceWindow.backend, MaintenanceWindow.starts_at, MaintenanceWindow.ends_at)
        .where(MaintenanceWindow.starts_at <= lookup.as_of, MaintenanceWindow.announced_at <= lookup.as_of)
        .order_by(MaintenanceWindow.starts_at.desc(), MaintenanceWindow.id.desc())
    )
    if lookup.deployment_ids:
        backends = select(Deployment.backend).where(Deployment.id.in_(lookup.deployment_ids))
        statement = statement.where(MaintenanceWindow.backend.in_(backends))
    row = (await lookup.session.execute(statement.limit(1))).first()
    return row and _spanning(span, f"maintenance of {row.backend}", row.starts_at, row.ends_at, lookup.as_of)


async def _newest_incident(
    _kind: str, _id: str | None, span: TextSpan, lookup: _Lookup
) -> EventMention | None:
    statement = (
        select(Incident.public_id, Incident.started_at, Incident.resolved_at)
        .where(Incident.started_at <= lookup.as_of, Incident.forgotten_at.is_(None))
        .order_by(Incident.started_at.desc(), Incident.id.desc())
    )
    if lookup.deployment_ids:
        statement = statement.where(Incident.deployment_id.in_(lookup.deployment_ids))
    row = (await lookup.session.execute(statement.limit(1))).first()
    return row and _spanning(span, row.public_id, row.started_at, row.resolved_at, lookup.as_of)


async def _version(version: str, span: TextSpan, lookup: _Lookup) -> EventMention:
    """Find when a router version was rolled out, else when it first served."""
    spelled = version.removeprefix("v").removeprefix("V")
    began = func.coalesce(Job.started_at, Job.created_at)
    rollouts = select(Job.public_id, Job.detail, began.label("began")).where(
        Job.type == JobType.ROLLOUT, began <= lookup.as_of, Job.detail.contains(spelled, autoescape=True)
    )
    rows = (await lookup.session.execute(rollouts.order_by(began.desc(), Job.id.desc()).limit(20))).all()
    to_version = re.compile(rf"(?:^|->\s*)v?{re.escape(spelled)}(?![\w.])", re.IGNORECASE)
    job = next((row for row in rows if to_version.search(row.detail)), None)
    if job is not None:
        return _at(span, f"the rollout {job.public_id} of {version}", job.began)
    first = await _first_bucket(Resolution.HOUR, (version, spelled, f"v{spelled}"), lookup, since=_EPOCH)
    if first is not None:
        first = await _first_bucket(Resolution.MINUTE, (version, spelled, f"v{spelled}"), lookup, since=first)
    if first is None:
        return EventMention(span, None, f"no rollout to {version} and no request served by it is recorded")
    return _at(span, f"the first request served by {version}", first)


async def _first_bucket(
    resolution: Resolution, versions: tuple[str, ...], lookup: _Lookup, *, since: datetime
) -> datetime | None:
    return await lookup.session.scalar(
        select(func.min(RequestRollup.bucket_start)).where(
            RequestRollup.resolution == resolution,
            RequestRollup.router_version.in_(versions),
            RequestRollup.bucket_start >= since,
            RequestRollup.bucket_start <= lookup.as_of,
        )
    )


def _at(span: TextSpan, what: str, moment: datetime) -> EventMention:
    return EventMention(span, Interval(moment, moment), f"{what} at {format_time(moment)} UTC")


def _spanning(
    span: TextSpan, what: str, start: datetime, end: datetime | None, as_of: datetime
) -> EventMention:
    """Return an event with a length; it has no end yet if that is not before `as_of`."""
    is_over = end is not None and end < as_of
    until = f"to {format_time(end)} UTC" if end is not None and is_over else "and has not ended"
    interval = Interval(start, end if end is not None and is_over else as_of)
    return EventMention(span, interval, f"{what}, {format_time(start)} UTC {until}")


_FINDERS = {"change": _config_change, "maintenance": _maintenance, "incident": _newest_incident}
"""How kinds of events but jobs are found."""
