"""Finds what was announced, or provided for, of a rise of one customer's requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from context_builder.exploration.candidates import mentions
from context_builder.exploration.change_point import ChangePoint
from context_builder.exploration.events import BEFORE, Event, EventQuery, audit_events, config_changes
from context_builder.question.request import ContextRequest
from context_builder.rollups.store import Rollups
from context_builder.text.formatting import format_time

AHEAD = timedelta(days=14)
"""Time before a rise in which it is announced; what happens in its last hours is a candidate cause."""
_MAX_EVENTS = 400
_ANNOUNCES = re.compile(r"announc|launch|campaign|go-live", re.IGNORECASE)


async def with_announcements(
    rollups: Rollups, request: ContextRequest, shifts: Sequence[ChangePoint]
) -> list[ChangePoint]:
    """Return the changes, those that were announced with the announcement."""
    rises = [one for one in shifts if one.metric.is_total and one.rose and not one.retries and _users(one)]
    if not rises:
        return list(shifts)
    first = min(one.earliest for one in rises) - AHEAD
    last = max(one.earliest for one in rises) - BEFORE
    query = EventQuery(
        near=lambda column: column.between(first, last), as_of=request.as_of, limit=_MAX_EVENTS
    )
    async with rollups.snapshot.session() as session:
        events = [*await audit_events(session, query), *await config_changes(session, query)]
    events.sort(key=lambda event: event.sort_key)
    return [replace(one, known_as=_announcement(one, events)) if one in rises else one for one in shifts]


def _users(shift: ChangePoint) -> set[str]:
    return {user for one in (shift.slice, *shift.also) if (user := one.value_of("user"))}


def _announcement(shift: ChangePoint, events: Sequence[Event]) -> str:
    """Return the newest announcement of a rise in words; empty if there is none."""
    users = _users(shift)
    found = [
        event
        for event in events
        if shift.earliest - AHEAD <= event.at <= shift.earliest - BEFORE
        and any(mentions(event.text, user) for user in users)
        and _provides(event)
    ]
    return f"{format_time(found[-1].at)}: {found[-1].text}" if found else shift.known_as


def _provides(event: Event) -> bool:
    """Return whether an event announces more requests, or raises a limit for them."""
    if event.kind == "audit":
        return bool(_ANNOUNCES.search(event.text))
    old, new = (getattr(event.row, name, None) for name in ("old_value", "new_value"))
    return _is_number(old) and _is_number(new) and float(old or 0) < float(new or 0)


def _is_number(text: str | None) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text or "") is not None
