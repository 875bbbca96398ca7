"""Error logs by template: answers "which errors are logged, since when, and which of them are new?".

Columns: severity (critical, error, warning), template (what varies is `<*>`), how often, targets, first and
last time (UTC) in the window, how often in the 24 hours before it, and the newest line as an example.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
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
from context_builder.text.formatting import format_count, format_name, format_time
from context_builder.text.sanitize import quote
from models import ErrorLog, LogSeverity
from models.database import ReadSession

MAX_READ = 10_000
"""Newest lines of the window that are read; the others are counted."""
MAX_READ_BEFORE = 10_000
"""The same for the day before."""
MOST = 30
MAX_MESSAGE_CHARACTERS = 400
"""How much is read of each line."""
RISEN = 3
"""So many times the rate of the day before is more than the usual noise."""
_TARGETS = 5
_TEMPLATE_LIMIT = 250
_SHORT_LIMIT = 120

_SEVERITY = {LogSeverity.CRITICAL: 1.0, LogSeverity.ERROR: 0.85, LogSeverity.WARNING: 0.6}
_SEVERITIES = {severity.value: severity for severity in LogSeverity}
_RISEN_SHARE = 0.8
_USUAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, with the beginning of its message."""

    logged_at: datetime
    severity: LogSeverity
    target: str
    message: str


@dataclass(frozen=True, slots=True)
class Lines:
    """The newest lines of a span, newest first, and how many it holds."""

    span: EventWindow
    read: Sequence[Line]
    total: int

    @property
    def complete(self) -> bool:
        """Whether all were read."""
        return len(self.read) == self.total


@dataclass(slots=True)
class Group:
    """The lines of one template."""

    template: str
    lines: list[Line]
    before: int
    """How many lines of the day before it has, among those read."""
    new: bool = False

    @property
    def first(self) -> datetime:
        """When it was first seen in the window."""
        return self.lines[-1].logged_at

    @property
    def severity(self) -> LogSeverity:
        """The worst of its lines."""
        return max((line.severity for line in self.lines), key=_SEVERITY.__getitem__)


_NEWS = frozenset({Topic.ERRORS, Topic.HEALTH, Topic.INCIDENTS, Topic.CHANGES})
"""An error that was not logged before is worth telling whenever something is wrong."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """The templates of the window's lines, new ones first."""
    found = await stores.exploration.onset(request)
    onset = found.at
    scope = event_scope(ErrorLog, request)
    async with stores.snapshot.session() as session:
        window = await _lines(session, scope, in_question_window(request), MAX_READ)
        before = await _lines(session, scope, before_window(request), MAX_READ_BEFORE)
    usual = f"{before.total:,} in the 24 h before"
    if not window.read:
        return Section(f"no error logs {window.span}, {usual}", status=Status.EMPTY)
    border = _border(window, onset)
    # Thousands of lines take a while to compare; other sources go on meanwhile.
    groups = await asyncio.to_thread(_groups, window, before, border)
    facts = [_fact(group, window.span, before, border, onset) for group in groups]
    facts.sort(key=lambda fact: -fact.importance)
    new = sum(group.new for group in groups)
    listed = f", {MOST} are listed" if len(facts) > MOST else ""
    part = "" if window.complete else f"; only the newest {len(window.read):,} were read"
    return Section(
        f"{format_count(window.total, 'error log')} {window.span}, {usual}{part}; "
        f"{format_count(len(groups), 'template')}, {new:,} new{listed}{onset_text(onset)}",
        tuple(facts[:MOST]),
        gaps=found.gaps,
    )


async def _lines(session: ReadSession, scope: ColumnElement[bool], span: EventWindow, most: int) -> Lines:
    condition = and_(span.contains(ErrorLog.logged_at), scope)
    total = await session.scalar(select(func.count()).select_from(ErrorLog).where(condition)) or 0
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
    lines = [
        Line(logged_at, _SEVERITIES[severity], target, text) for logged_at, severity, target, text in rows
    ]
    return Lines(span, lines, total)


def _border(window: Lines, onset: datetime | None) -> datetime:
    """From when on a template is new: the onset, where it lies in a window that was read as a whole."""
    is_within = onset is not None and window.complete and window.span.since < onset < window.span.until
    return onset if onset and is_within else window.span.since


def _groups(window: Lines, before: Lines, border: datetime) -> list[Group]:
    """The templates of the window, the most frequent first."""
    template_of = templates_of(line.message for line in (*window.read, *before.read))
    earlier = Counter(template_of[line.message] for line in before.read)
    lines_of: defaultdict[str, list[Line]] = defaultdict(list)
    for line in window.read:
        lines_of[template_of[line.message]].append(line)
    groups = [Group(template, lines, earlier[template]) for template, lines in lines_of.items()]
    for group in groups:
        group.new = not group.before and group.first >= border
    return sorted(groups, key=lambda group: (-len(group.lines), group.template))


def _fact(group: Group, span: EventWindow, before: Lines, border: datetime, onset: datetime | None) -> Fact:
    lines = group.lines
    often = "once" if len(lines) == 1 else f"{len(lines):,} times"
    tail = f"{often} on {_targets(lines)} {period_text(group.first, lines[0].logged_at)}"
    news = _news(group, before, border) + (offset_text(group.first, onset) if group.new else "")
    newest = max((line.logged_at, line.message) for line in lines)[1]
    example = f"; e.g. {quote(newest)}" if newest != group.template else ""
    kind = group.severity.upper() if group.severity is LogSeverity.CRITICAL else group.severity
    return Fact(
        f"{kind} {quote(group.template, limit=_TEMPLATE_LIMIT)} {tail}; {news}{example}",
        f"{kind} {quote(group.template, limit=_SHORT_LIMIT)} {tail}{'; NEW' if group.new else ''}",
        _importance(group, span, before),
        _NEWS if group.new and group.severity is not LogSeverity.WARNING else frozenset(),
        kind="error templates",
    )


def _targets(lines: Sequence[Line]) -> str:
    """Where it was logged, the most frequent first."""
    counts = Counter(line.target for line in lines)
    targets = sorted(counts, key=lambda target: (-counts[target], target))
    listed = ", ".join(format_name(target) for target in targets[:_TARGETS])
    return listed if len(targets) <= _TARGETS else f"{listed} and {len(targets) - _TARGETS:,} more"


def _news(group: Group, before: Lines, border: datetime) -> str:
    """What is known of the template from before."""
    if group.new and before.complete:
        return f"NEW: not seen from {format_time(before.span.since)} to {format_time(border)}"
    if group.new:
        return f"NEW: not among the {len(before.read):,} lines before {format_time(before.span.until)}"
    least = "" if before.complete else "at least "
    return f"{least}{group.before:,} in the 24 h before the window"


def _importance(group: Group, span: EventWindow, before: Lines) -> float:
    """New ones above those that became more frequent, and those above the usual noise."""
    share = _USUAL_SHARE
    if group.new:
        share = 1.0
    elif before.complete and _rate(len(group.lines), span) >= RISEN * _rate(group.before, before.span):
        share = _RISEN_SHARE
    return _SEVERITY[group.severity] * share * (0.8 + 0.2 * proximity(group.lines[0].logged_at, span.until))


def _rate(lines: int, span: EventWindow) -> float:
    """Lines per day."""
    return lines * (EVENT_LOOKBACK / max(span.until - span.since, timedelta(minutes=1)))


source = ContextSource("errors", "E", frozenset({Topic.ERRORS}), 5.0, read)
