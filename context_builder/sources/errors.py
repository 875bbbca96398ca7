"""Error logs by template: answers "which errors are logged, since when, and which of them are new?".

Columns: severity (critical, error, warning), template (variable parts are `<*>`), count, targets, first and
last time (UTC) in the window, count in the 24 hours before it, and the newest line as an example.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, func, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
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
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.event_window import (
    EVENT_LOOKBACK,
    EventWindow,
    before_window,
    in_question_window,
    offset_text,
    onset_text,
    period_text,
    proximity,
)
from context_builder.telemetry.log_templates import templates_of
from context_builder.telemetry.row_count import count_rows
from context_builder.text.formatting import format_count, format_list, format_time
from context_builder.text.lists import rank_counts
from context_builder.text.sanitize import quote
from models import ErrorLog, LogSeverity
from models.database import ReadSession

MAX_READ = 10_000
"""Newest lines of the window that are read; the others are only counted."""
MAX_READ_BEFORE = 10_000
"""The same for the day before."""
MAX_FACTS = 30
MAX_MESSAGE_CHARACTERS = 400
"""Leading characters that are read of each line."""
NOTABLE_RISE = 3
"""Factor over the rate of the day before from which more lines are not just noise."""
_MAX_TARGETS = 5
_TEMPLATE_LIMIT = 250
_SHORT_LIMIT = 120

_SEVERITY_IMPORTANCE = {LogSeverity.CRITICAL: 1.0, LogSeverity.ERROR: 0.85, LogSeverity.WARNING: 0.6}
_RISEN_SHARE = 0.8
_USUAL_SHARE = 0.5


class LogLine(NamedTuple):
    """One log line, with the beginning of its message; a tuple, since there are thousands."""

    logged_at: datetime
    severity: str
    target: str
    message: str


@dataclass(frozen=True, slots=True)
class LogLines:
    """The newest lines of a span, newest first, and how many the span has."""

    span: EventWindow
    read: Sequence[LogLine]
    total: int

    @property
    def complete(self) -> bool:
        """True if every line of the span was read."""
        return len(self.read) == self.total


@dataclass(slots=True)
class TemplateGroup:
    """The lines of one template, newest first."""

    template: str
    lines: list[LogLine]
    before: int
    """Lines of the day before that have this template, among those read."""
    severity: LogSeverity
    """The worst of its lines."""
    new: bool = False

    @property
    def first(self) -> datetime:
        """Return when the template was first seen in the window."""
        return self.lines[-1].logged_at


_NEW_TOPICS = frozenset({Topic.ERRORS, Topic.HEALTH, Topic.INCIDENTS, Topic.CHANGES})
"""A new error is relevant whenever something is wrong."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the templates of the window's lines, new ones first."""
    found = await stores.exploration.onset(request)
    onset = found.at
    scope = event_scope(ErrorLog, request)
    async with stores.snapshot.session() as session:
        window = await _load_lines(session, scope, in_question_window(request), MAX_READ)
        before = await _load_lines(session, scope, before_window(request), MAX_READ_BEFORE)
    usual = f"{before.total:,} in the 24 h before"
    if not window.read:
        return Section(f"no error logs {window.span}, {usual}", status=Status.EMPTY)
    new_since = _new_since(window, onset)
    # Comparing thousands of lines takes a while; a thread keeps the event loop free.
    groups = await asyncio.to_thread(_group_by_template, window, before, new_since)
    facts = by_importance(_fact(group, window.span, before, new_since, onset) for group in groups)
    new = sum(group.new for group in groups)
    listed = f", {MAX_FACTS} listed" if len(facts) > MAX_FACTS else ""
    part = "" if window.complete else f"; only the newest {len(window.read):,} were read"
    return Section(
        f"{format_count(window.total, 'error log')} {window.span}, {usual}{part}; "
        f"{format_count(len(groups), 'template')}, {new:,} new{listed}{onset_text(onset)}",
        facts[:MAX_FACTS],
        gaps=found.gaps,
    )


async def _load_lines(
    session: ReadSession, scope: ColumnElement[bool], span: EventWindow, most: int
) -> LogLines:
    condition = and_(span.contains(ErrorLog.logged_at), scope)
    rows = await session.execute(
        select(
            ErrorLog.logged_at,
            ErrorLog.severity,
            ErrorLog.target,
            func.substr(ErrorLog.message, 1, MAX_MESSAGE_CHARACTERS),
        )
        .where(condition)
        .order_by(ErrorLog.logged_at.desc(), ErrorLog.id.desc())
        .limit(most)
    )
    lines = [LogLine(*row) for row in rows]
    return LogLines(span, lines, await count_rows(session, ErrorLog, condition, read=len(lines), limit=most))


def _new_since(window: LogLines, onset: datetime | None) -> datetime:
    """Return since when a template is new: the onset if it lies in a fully read window, else its start."""
    is_within = onset is not None and window.complete and window.span.since < onset < window.span.until
    return onset if onset and is_within else window.span.since


def _group_by_template(window: LogLines, before: LogLines, border: datetime) -> list[TemplateGroup]:
    """Group the window's lines by template, the most frequent first."""
    template_of = templates_of(line.message for line in (*window.read, *before.read))
    earlier = Counter(template_of[line.message] for line in before.read)
    lines_of: defaultdict[str, list[LogLine]] = defaultdict(list)
    for line in window.read:
        lines_of[template_of[line.message]].append(line)
    groups = [
        TemplateGroup(template, lines, earlier[template], _worst_severity(lines))
        for template, lines in lines_of.items()
    ]
    for group in groups:
        group.new = not group.before and group.first >= border
    return sorted(groups, key=lambda group: (-len(group.lines), group.template))


def _worst_severity(lines: Sequence[LogLine]) -> LogSeverity:
    # Members of an enum take longer to look up than their values.
    known = {LogSeverity(value) for value in {line.severity for line in lines}}
    return max(known, key=_SEVERITY_IMPORTANCE.__getitem__)


def _fact(
    group: TemplateGroup, span: EventWindow, before: LogLines, border: datetime, onset: datetime | None
) -> Fact:
    lines = group.lines
    often = "once" if len(lines) == 1 else f"{len(lines):,} times"
    tail = f"{often} on {_format_targets(lines)} {period_text(group.first, lines[0].logged_at)}"
    news = _format_history(group, before, border) + (offset_text(group.first, onset) if group.new else "")
    newest = max((line.logged_at, line.message) for line in lines)[1]
    example = f"; e.g. {quote(newest)}" if newest != group.template else ""
    kind = group.severity.upper() if group.severity is LogSeverity.CRITICAL else group.severity
    return Fact(
        f"{kind} {quote(group.template, limit=_TEMPLATE_LIMIT)} {tail}; {news}{example}",
        f"{kind} {quote(group.template, limit=_SHORT_LIMIT)} {tail}{'; NEW' if group.new else ''}",
        _importance(group, span, before),
        _NEW_TOPICS if group.new and group.severity is not LogSeverity.WARNING else frozenset(),
        kind="error templates",
        headline=Headline(
            text=f"{kind} {tail}{', NEW' * group.new}: {quote(group.template, limit=_TEMPLATE_LIMIT)}",
            role=Role.STATE,
            nouns=(Noun.ERROR,),
            topic=Topic.ERRORS,
            alarm=(group.new and group.severity is LogSeverity.CRITICAL) or None,
            at=group.first,
        ),
    )


def _format_targets(lines: Sequence[LogLine]) -> str:
    """Return the targets that logged the lines, the most frequent first."""
    counts = Counter(line.target for line in lines)
    return format_list([target for target, _ in rank_counts(counts)], _MAX_TARGETS)


def _format_history(group: TemplateGroup, before: LogLines, border: datetime) -> str:
    """Describe how often the template was seen before the window."""
    if group.new and before.complete:
        return f"NEW: not seen from {format_time(before.span.since)} to {format_time(border)}"
    if group.new:
        return f"NEW: not among the {len(before.read):,} lines before {format_time(before.span.until)}"
    least = "" if before.complete else "at least "
    return f"{least}{group.before:,} in the 24 h before the window"


def _importance(group: TemplateGroup, span: EventWindow, before: LogLines) -> float:
    """Return the importance: new templates above rising ones, and those above the usual noise."""
    share = _USUAL_SHARE
    if group.new:
        share = 1.0
    elif before.complete and _daily_rate(len(group.lines), span) >= NOTABLE_RISE * _daily_rate(
        group.before, before.span
    ):
        share = _RISEN_SHARE
    return (
        _SEVERITY_IMPORTANCE[group.severity]
        * share
        * (0.8 + 0.2 * proximity(group.lines[0].logged_at, span.until))
    )


def _daily_rate(lines: int, span: EventWindow) -> float:
    """Return lines per day."""
    return lines * (EVENT_LOOKBACK / max(span.until - span.since, timedelta(minutes=1)))


source = ContextSource(
    "errors",
    "E",
    frozenset({Topic.ERRORS}),
    5.0,
    read,
    asks=frozenset({Wording.TOPICS}),
    shows_to_confined=Shown.NOTHING,
)
