"""Finds errors that were first logged near an onset."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from context_builder.exploration.events import Event
from context_builder.question.request import ContextRequest, Window
from context_builder.telemetry.log_templates import templates_of
from context_builder.text.formatting import format_count, format_name
from context_builder.text.sanitize import quote
from models import ErrorLog, LogSeverity
from models.database import ReadSession

MAX_SPANS = 3
"""Onsets whose logs are read, the most relevant first."""
MAX_LINES = 500
"""Lines read per onset: the first ones near it, and the last ones before."""
MIN_LINES = 3
"""Minimum lines of a template near an onset."""
_MARGIN_BEFORE = timedelta(minutes=10)
_MARGIN_AFTER = timedelta(minutes=30)
_KNOWN_SPAN = timedelta(hours=24)
_ERROR_SEVERITIES = (LogSeverity.ERROR, LogSeverity.CRITICAL)
_MAX_MESSAGE_CHARACTERS = 400

LoggedLine = tuple[datetime, str, str]
"""Time, target and message."""


async def new_errors(
    session: ReadSession, request: ContextRequest, onsets: Sequence[tuple[datetime, datetime]]
) -> list[Event]:
    """Load the errors first seen near the onsets, each given by its earliest and latest time."""
    events = []
    for first, last in onsets[:MAX_SPANS]:
        near = Window(
            first - _MARGIN_BEFORE, min(last + _MARGIN_AFTER, request.as_of + timedelta(microseconds=1))
        )
        if near.start >= near.end:
            continue
        after = await _lines(session, near, newest=False)
        before = await _lines(session, Window(near.start - _KNOWN_SPAN, near.start), newest=True)
        # Comparing lines takes a while; it must not block other sources.
        events += await asyncio.to_thread(lambda a=after, b=before: list(_events(a, b)))  # type: ignore[misc]
    return events


async def _lines(session: ReadSession, span: Window, *, newest: bool) -> list[LoggedLine]:
    order = (ErrorLog.logged_at.desc(), ErrorLog.id.desc()) if newest else (ErrorLog.logged_at, ErrorLog.id)
    rows = await session.execute(
        select(ErrorLog.logged_at, ErrorLog.target, func.substr(ErrorLog.message, 1, _MAX_MESSAGE_CHARACTERS))
        .where(
            ErrorLog.logged_at >= span.start,
            ErrorLog.logged_at < span.end,
            ErrorLog.severity.in_(_ERROR_SEVERITIES),
        )
        .order_by(*order)
        .limit(MAX_LINES)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _events(after: Sequence[LoggedLine], before: Sequence[LoggedLine]) -> Iterator[Event]:
    template_of = templates_of(text for _, _, text in (*after, *before))
    known = {template_of[text] for _, _, text in before}
    groups: defaultdict[str, list[LoggedLine]] = defaultdict(list)
    for line in after:
        if (template := template_of[line[2]]) not in known:
            groups[template].append(line)
    for _, lines in sorted(groups.items()):
        if len(lines) >= MIN_LINES:
            yield _event(lines)


def _event(lines: Sequence[LoggedLine]) -> Event:
    """Return one event for all targets that log the same new error, with that of the most lines."""
    targets = Counter(target for _, target, _ in lines)
    most = max(targets, key=lambda target: (targets[target], target))
    count, message = format_count(len(lines), "line"), quote(lines[0][2], limit=160)
    others = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    text = f"{format_name(most)}{others} began logging a new error, {count} within the half hour: {message}"
    return Event(at=lines[0][0], kind="log", text=text, target=most)
