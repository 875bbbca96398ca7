"""Alerts that were sent or failed: answers "was anyone paged, and which alerts did not get through?".

Columns: provider, channel, subject, status (sent, failed), error of a failed alert, and time (UTC). Similar
alerts are one fact with a count. Alerts without a deployment belong to the gateway as a whole.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, true

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
from context_builder.telemetry.event_window import EventWindow, period_text, proximity, recent_window
from context_builder.telemetry.log_templates import templates_of
from context_builder.telemetry.row_count import count_rows
from context_builder.text.formatting import format_list, format_name
from context_builder.text.sanitize import quote
from models import Incident, Notification, NotificationStatus
from models.database import ReadSession

MAX_ALERTS_READ = 500
"""Newest alerts that are read of each status, so that sent ones hide no failed ones; the rest are counted."""
MAX_FACTS = 30
_MAX_CHARACTERS = 400
_MAX_INCIDENTS = 3

_IMPORTANCE = {NotificationStatus.FAILED: 0.85, NotificationStatus.SENT: 0.45}
_UNREACHED_IMPORTANCE = 1.0
"""Importance of failed alerts about an incident for which no alert got through."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One notification, with its texts cut to _MAX_CHARACTERS."""

    created_at: datetime
    provider: str
    channel: str
    subject: str
    status: NotificationStatus
    error: str | None
    incident_id: int | None


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return failed alerts, then sent ones."""
    span = recent_window(request)
    condition = and_(span.contains(Notification.created_at), _in_scope(request))
    totals, alerts = {}, []
    async with stores.snapshot.session() as session:
        for status in _IMPORTANCE:
            of_status = and_(condition, Notification.status == status.value)
            newest = await _load_newest(session, of_status)
            totals[status] = await count_rows(
                session, Notification, of_status, read=len(newest), limit=MAX_ALERTS_READ
            )
            alerts += newest
        unreached = await _load_unreached(session, alerts, request)
    if not alerts:
        return Section(f"no alerts were sent or failed {span}", status=Status.EMPTY)
    templates = await asyncio.to_thread(templates_of, {alert.subject for alert in alerts})
    groups: defaultdict[tuple[str, ...], list[Alert]] = defaultdict(list)
    for alert in alerts:
        groups[alert.status, alert.provider, alert.channel, templates[alert.subject]].append(alert)
    facts = by_importance(_fact(alike, unreached, span) for alike in groups.values())
    counts = ", ".join(f"{total:,} {status}" for status, total in totals.items())
    part = (
        f"; the newest {MAX_ALERTS_READ} of each were read" if max(totals.values()) > MAX_ALERTS_READ else ""
    )
    listed = f"; {len(facts):,} distinct, {MAX_FACTS} listed" if len(facts) > MAX_FACTS else ""
    return Section(f"alerts {span}: {counts}{part}{listed}", facts[:MAX_FACTS])


def _in_scope(request: ContextRequest) -> ColumnElement[bool]:
    ids = request.scope.deployment_ids
    if not ids:
        return true()
    return or_(Notification.deployment_id.in_(ids), Notification.deployment_id.is_(None))


async def _load_newest(session: ReadSession, condition: ColumnElement[bool]) -> list[Alert]:
    rows = await session.execute(
        select(
            Notification.created_at,
            Notification.provider,
            Notification.channel,
            func.substr(Notification.subject, 1, _MAX_CHARACTERS),
            Notification.status,
            func.substr(Notification.error, 1, _MAX_CHARACTERS),
            Notification.incident_id,
        )
        .where(condition)
        .order_by(Notification.created_at.desc(), Notification.id.desc())
        .limit(MAX_ALERTS_READ)
    )
    return [
        Alert(at, provider, channel, subject, NotificationStatus(status), error, incident_id)
        for at, provider, channel, subject, status, error, incident_id in rows
    ]


async def _load_unreached(
    session: ReadSession, alerts: Sequence[Alert], request: ContextRequest
) -> dict[int, str]:
    """Load public ids of incidents for which alerts failed and, by `as_of`, none got through."""
    failed = {alert.incident_id for alert in alerts if alert.status is NotificationStatus.FAILED}
    ids = sorted(number for number in failed if number is not None)
    if not ids:
        return {}
    got_through = (
        select(Notification.id)
        .where(
            Notification.incident_id == Incident.id,
            Notification.status == NotificationStatus.SENT.value,
            Notification.created_at <= request.as_of,
        )
        .exists()
    )
    rows = await session.execute(
        select(Incident.id, Incident.public_id).where(Incident.id.in_(ids), ~got_through)
    )
    return {row[0]: row[1] for row in rows}


def _fact(alike: Sequence[Alert], unreached: dict[int, str], span: EventWindow) -> Fact:
    """Describe similar alerts as one fact; `alike` is sorted newest first."""
    newest = alike[0]
    when = period_text(alike[-1].created_at, newest.created_at)
    often = f" {len(alike):,} times" if len(alike) > 1 else ""
    outcome = f"{'FAILED' if newest.status is NotificationStatus.FAILED else 'sent'}{often} {when}"
    others = len({alert.subject for alert in alike}) - 1
    like_it = f" and {others:,} like it" if others else ""
    short = f"{format_name(newest.provider)} alert to {format_name(newest.channel)} {outcome}: "
    error = f"; error: {quote(newest.error)}" if newest.error else ""
    lost = _format_unreached({unreached[i] for alert in alike if (i := alert.incident_id) in unreached})
    importance = _UNREACHED_IMPORTANCE if lost else _IMPORTANCE[newest.status]
    return Fact(
        f"{short}{quote(newest.subject)}{like_it}{error}{lost}",
        f"{short}{quote(newest.subject, limit=80)}{like_it}{lost}",
        importance * (0.7 + 0.3 * proximity(newest.created_at, span.until)),
        kind="notifications",
        headline=Headline(
            text=f"{short}{quote(newest.subject)}{lost}",
            role=Role.EVENT,
            nouns=(Noun.ALERT,),
            topic=Topic.INCIDENTS,
            alarm=bool(lost) or None,
            at=newest.created_at,
        ),
    )


def _format_unreached(public_ids: Collection[str]) -> str:
    """Format the incidents for which no alert got through; empty if there are none."""
    names = format_list(sorted(public_ids), _MAX_INCIDENTS)
    return f"; no alert about {names} got through" if public_ids else ""


source = ContextSource(
    "notifications", "N", frozenset({Topic.INCIDENTS}), 2.0, read, shows_to_confined=Shown.NOTHING
)
