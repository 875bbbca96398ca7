"""Finds times that are named by an event, such as "since the last deploy", and looks the event up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true

from context_builder.question.event_phrases import RELATIONS, EventPhrase, find_event_phrases
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

_TIMED_BEFORE = re.compile(
    rf"\b(?:{RELATIONS}|between\b.{{1,60}} and)(?: (?:the|incident|outage|time|of|and|after|before|vs))* $",
    re.IGNORECASE,
)
_JOBS = {
    "rollout": JobType.ROLLOUT,
    "scale": JobType.SCALE,
    "drain": JobType.DRAIN,
    "firmware": JobType.FIRMWARE_UPDATE,
    "image": JobType.IMAGE_UPDATE,
}
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
    is_chosen: bool = False
    """True if it is told even where no time refers to it; if it has a length, it is then the time meant."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    session: ReadSession
    as_of: datetime
    deployment_ids: tuple[int, ...]

    def near(self, table: type[Job | ConfigChange], target: str) -> ColumnElement[bool]:
        """Return the condition for events of a target, or of the named deployments and the whole gateway."""
        if target:
            return table.target == target
        if not self.deployment_ids:
            return true()
        return or_(table.deployment_id.in_(self.deployment_ids), table.deployment_id.is_(None))

    async def meant(
        self, phrase: EventPhrase, events: Select[*tuple[Any, ...]], began: Any, row_id: Any
    ) -> Any:
        """Return the event that a phrase means: the latest before `as_of`, or one so many before it."""
        events = events.where(began <= self.as_of)
        if phrase.day:
            events = events.where(began >= phrase.day.start, began < phrase.day.end)
        latest = events.order_by(began.desc(), row_id.desc()).offset(phrase.back).limit(1)
        return (await self.session.execute(latest)).first()


async def find_events(
    text: str, names: Sequence[NameMention], as_of: datetime, lookups: Lookups
) -> tuple[EventMention, ...]:
    """Return the events that times of the question refer to, and where they stand in its English text."""
    incidents = [name for name in names if _is_timed(name, text)]
    phrases = tuple(find_event_phrases(text, as_of, [span for name in names for span in name.spans]))
    ids = tuple(i for name in names if name.kind is NameKind.DEPLOYMENT for i in name.ids)

    async def read(session: ReadSession) -> tuple[EventMention, ...]:
        lookup = _Lookup(session, as_of, ids)
        found = [await _incident(name, lookup) for name in incidents]
        found += [await _event(phrase, lookup) for phrase in phrases]
        return tuple(sorted(found, key=lambda event: event.span))

    return await lookups.once(("events", text, as_of), read) if incidents or phrases else ()


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


async def _event(phrase: EventPhrase, lookup: _Lookup) -> EventMention:
    if phrase.kind == "version":
        return await _version(phrase, lookup)
    found = await _FINDERS.get(phrase.kind, _job)(phrase, lookup)
    if found is None:
        if phrase.without_day:
            return await _event(phrase.without_day, lookup)
        when = "then" if phrase.day else "before the moment asked about"
        return EventMention(
            phrase.span, None, f"no {'other ' * bool(phrase.back)}{phrase.noun} is recorded {when}"
        )
    found = replace(found, is_chosen=phrase.is_chosen)
    if phrase.is_pair and found.interval:
        first = await _event(replace(phrase, is_pair=False, is_within=True, back=1), lookup)
        start = first.interval.start if first.interval else found.interval.start
        label = f"from {first.label}, to {found.label}"
        return replace(found, interval=Interval(start, found.interval.start), label=label)
    if phrase.kind in ("incident", "maintenance") or phrase.is_within or found.interval is None:
        return found
    # What a rollout changes begins with it.
    return replace(found, interval=Interval(found.interval.start, found.interval.start))


async def _job(phrase: EventPhrase, lookup: _Lookup) -> EventMention | None:
    is_row = phrase.kind == "row"
    began = func.coalesce(Job.started_at, Job.created_at)
    of_kind = and_(Job.type == _JOBS.get(phrase.kind), lookup.near(Job, phrase.target))
    asked = Job.public_id == phrase.noun if is_row else of_kind
    jobs = select(Job.public_id, Job.type, Job.target, Job.detail, began.label("began"), Job.finished_at)
    row = await lookup.meant(phrase, jobs.where(asked), began, Job.id)
    if row is None:
        return await _config_change(phrase, lookup) if is_row else None
    what = f"{row.type.replace('_', ' ')} {row.public_id} of {row.target}"
    return _spanning(phrase.span, what, row.began, row.finished_at, lookup.as_of)


async def _config_change(phrase: EventPhrase, lookup: _Lookup) -> EventMention | None:
    is_row = phrase.kind == "row"
    asked = ConfigChange.public_id == phrase.noun if is_row else lookup.near(ConfigChange, phrase.target)
    changes = select(
        ConfigChange.public_id, ConfigChange.target, ConfigChange.parameter, ConfigChange.changed_at
    ).where(asked)
    row = await lookup.meant(phrase, changes, ConfigChange.changed_at, ConfigChange.id)
    return row and _at(phrase.span, f"{row.public_id} ({row.parameter} of {row.target})", row.changed_at)


async def _maintenance(phrase: EventPhrase, lookup: _Lookup) -> EventMention | None:
    windows = select(MaintenanceWindow.backend, MaintenanceWindow.starts_at, MaintenanceWindow.ends_at).where(
        MaintenanceWindow.announced_at <= lookup.as_of
    )
    if lookup.deployment_ids:
        backends = select(Deployment.backend).where(Deployment.id.in_(lookup.deployment_ids))
        windows = windows.where(MaintenanceWindow.backend.in_(backends))
    row = await lookup.meant(phrase, windows, MaintenanceWindow.starts_at, MaintenanceWindow.id)
    what = f"maintenance of {row.backend}" if row else ""
    return row and _spanning(phrase.span, what, row.starts_at, row.ends_at, lookup.as_of)


async def _incident_before(phrase: EventPhrase, lookup: _Lookup) -> EventMention | None:
    incidents = select(Incident.public_id, Incident.started_at, Incident.resolved_at).where(
        Incident.forgotten_at.is_(None)
    )
    if lookup.deployment_ids:
        incidents = incidents.where(Incident.deployment_id.in_(lookup.deployment_ids))
    row = await lookup.meant(phrase, incidents, Incident.started_at, Incident.id)
    return row and _spanning(phrase.span, row.public_id, row.started_at, row.resolved_at, lookup.as_of)


async def _version(phrase: EventPhrase, lookup: _Lookup) -> EventMention:
    """Find when a router version was rolled out, else when it first served."""
    version, span = phrase.noun, phrase.span
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


_FINDERS = {"change": _config_change, "maintenance": _maintenance, "incident": _incident_before}
"""How kinds of events but jobs are found."""
