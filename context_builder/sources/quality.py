"""Quality scores: answers "did answers get worse, of which model and at which task?".

Columns: mean score (0 to 1), scores that had arrived, coverage (% of the answered requests that they are of),
in the hours that the window touches and in the 7 days before; by model, task type and deployment. Scores are
dated by the hour in which they arrived: those of the hour in progress at `as_of` (UTC) count only when the
question is about now, since at a past moment it is not known which of them had arrived.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select

from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.time_phrases import floor_to_minute
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.rollups import baseline_window, in_window, rollup_scope, scored_by
from context_builder.text.formatting import format_count, format_name, format_percent, format_time
from models import Deployment, QualityRollup, RequestRollup, RequestStatus
from models.database import ReadSession
from models.quality_log import MILLION

FEWEST = 20
"""With fewer scores on a side, means are not compared."""
NOTABLE = 0.03
"""A difference of means that is worth an engineer's look."""
STANDARD_ERRORS = 3
"""How many standard errors a notable difference has at the least."""
LOW_PERCENT = 5
"""Below this coverage, or below half of what it was, scores say little yet."""
MAX_ROWS = 2_000
"""Deployments x tasks that are read of each side, those with the most scores or requests."""
MAX_GROUPS = 12
_WEIGHTS = {"model": 0.6, "task type": 0.55, "deployment": 0.5}
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one side of the comparison, and the answered requests that they are of."""

    number: int = 0
    total: int = 0
    """Sum in millionths."""
    squares: int = 0
    """Sum of squares in millionths."""
    answered: int = 0

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.number + other.number,
            self.total + other.total,
            self.squares + other.squares,
            self.answered + other.answered,
        )

    @property
    def mean(self) -> float:
        """From 0 to 1; there are scores."""
        return self.total / self.number / MILLION

    @property
    def squared_error(self) -> float:
        """Square of the standard error of the mean; there are at least two scores."""
        variance = self.squares / self.number / MILLION - self.mean**2
        return max(0.0, variance) / (self.number - 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """Scores, or answered requests, that agree in all dimensions."""

    model: str
    deployment: str
    task_type: str
    in_window: bool
    scores: Scores


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Means of each dimension beside those before, the drops that are no chance first."""
    hours = _hours(request)
    async with stores.snapshot.session() as session:
        cells, gaps = await _cells(session, request, hours)
    now = sum((cell.scores for cell in cells if cell.in_window), Scores())
    before = sum((cell.scores for cell in cells if not cell.in_window), Scores())
    span = f"requests of {format_time(hours.start)} to {format_time(hours.end)}"
    if not now.number and not before.number:
        header = f"no quality scores had arrived for {span} or the 7 days before"
        return Section(header, status=Status.EMPTY, gaps=gaps)
    facts = [
        *_by(cells, "model", lambda cell: cell.model),
        *_by(cells, "task type", lambda cell: cell.task_type),
        *_by(cells, "deployment", lambda cell: cell.deployment),
    ]
    return Section(
        f"{span}: {_figures(now)}; the 7 days before: {_figures(before)}",
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        Status.OK if facts else Status.EMPTY,
        gaps,
    )


def _hours(request: ContextRequest) -> Window:
    """The hours that the window touches, so far as they had passed."""
    start = request.window.start.replace(minute=0)
    end = request.window.end.replace(minute=0)
    if end < request.window.end:
        end += _HOUR
    return Window(start, min(end, floor_to_minute(request.as_of)))


async def _cells(
    session: ReadSession, request: ContextRequest, hours: Window
) -> tuple[list[Cell], tuple[str, ...]]:
    past = baseline_window(hours)
    scope = await rollup_scope(session, request)
    in_scope = await rollup_scope(session, request, QualityRollup)
    scored = and_(
        scored_by(request.as_of, is_now=request.is_now),
        QualityRollup.bucket_start >= past.start,
        QualityRollup.bucket_start < hours.end,
    )
    in_hours = case((QualityRollup.bucket_start >= hours.start, 1), else_=0)
    dimensions = (Deployment.model, Deployment.public_id)
    keys: tuple[Any, ...] = (*dimensions, QualityRollup.task_type, in_hours)
    number = func.sum(QualityRollup.scores)
    rows = await session.execute(
        select(*keys, number, func.sum(QualityRollup.score_sum), func.sum(QualityRollup.score_square_sum))
        .join(Deployment, Deployment.id == QualityRollup.deployment_id)
        .where(scored, in_scope.condition)
        .group_by(*keys)
        .order_by(number.desc(), func.min(QualityRollup.id))
        .limit(MAX_ROWS)
    )
    cells = [Cell(*row[:3], bool(row[3]), Scores(*map(int, row[4:]))) for row in rows]
    now, before = in_window(RequestRollup, hours), in_window(RequestRollup, past)
    keys = (*dimensions, RequestRollup.task_type, case((now, 1), else_=0))
    answered = func.sum(RequestRollup.requests)
    rows = await session.execute(
        select(*keys, answered)
        .join(Deployment, Deployment.id == RequestRollup.deployment_id)
        .where(or_(now, before), RequestRollup.status == RequestStatus.SUCCESS, scope.condition)
        .group_by(*keys)
        .order_by(answered.desc(), func.min(RequestRollup.id))
        .limit(MAX_ROWS)
    )
    cells += [Cell(*row[:3], bool(row[3]), Scores(answered=int(row[4]))) for row in rows]
    gaps = scope.gaps
    if request.scope.tiers or request.scope.user_ids:
        unknown = await session.scalar(select(number).where(scored, QualityRollup.tier == ""))
        if unknown:
            gaps += (f"{format_count(int(unknown), 'score')} of users whose tier or budget changed since",)
    return cells, gaps


def _by(cells: Iterable[Cell], dimension: str, name_of: Callable[[Cell], str]) -> Iterator[Fact]:
    """One fact per group that has scores in the window, those with the most first."""
    sides: defaultdict[str, dict[bool, Scores]] = defaultdict(lambda: {True: Scores(), False: Scores()})
    for cell in cells:
        sides[name_of(cell)][cell.in_window] += cell.scores
    ranked = sorted(sides.items(), key=lambda item: (-item[1][True].number, item[0]))
    facts = [
        _fact(
            f"{dimension} {format_name(name) if name else 'unknown'}",
            _WEIGHTS[dimension],
            both[True],
            both[False],
        )
        for name, both in ranked
        if both[True].number
    ]
    yield from sorted(facts, key=lambda fact: -fact.importance)[:MAX_GROUPS]


def _fact(name: str, weight: float, now: Scores, before: Scores) -> Fact:
    head = f"{name}: mean quality {now.mean:.3f}"
    text = f"{name}: {_figures(now)}; the 7 days before: {_figures(before)}"
    if min(now.number, before.number) < FEWEST:
        return Fact(f"{text}; too few scores to compare", head, weight / 2, kind="quality comparisons")
    difference = now.mean - before.mean
    text += f"; {'down' if difference < 0 else 'up'} {abs(difference):.3f}"
    error = math.sqrt(now.squared_error + before.squared_error)
    notable = abs(difference) >= NOTABLE and abs(difference) >= STANDARD_ERRORS * error
    if notable:
        text += ", more than chance"
        head += f", {'DOWN' if difference < 0 else 'up'} {abs(difference):.3f} from the 7 days before"
        weight = 0.9 + weight / 10 if difference < 0 else 0.75
    if _is_low(now, before):
        text += "; LOW coverage, most scores may still arrive"
    return Fact(text, head, weight, kind="quality comparisons")


def _is_low(now: Scores, before: Scores) -> bool:
    """Whether few of the scores to be expected are there."""
    low = now.number * 100 < now.answered * LOW_PERCENT
    return low or 2 * now.number * before.answered < before.number * now.answered


def _figures(scores: Scores) -> str:
    if not scores.number:
        return f"no scores of {format_count(scores.answered, 'answered request')}"
    covered = format_percent(min(scores.number, scores.answered), scores.answered)
    return (
        f"mean quality {scores.mean:.3f} over {format_count(scores.number, 'score')} "
        f"({covered} of {format_count(scores.answered, 'answered request')})"
    )


source = ContextSource("quality", "Q", frozenset({Topic.QUALITY}), 3.0, read)
