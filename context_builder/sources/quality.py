"""Quality scores: answers "did answers get worse, of which model and at which task?".

Columns: mean score (0 to 1), scores that had arrived, coverage (% of answered requests that have a score), in
the hours that the window touches and in the 7 days before; by model, task type and deployment. Scores are
dated by the hour in which they arrived: those of the hour in progress at `as_of` (UTC) count only when the
question is about now, since at a past moment it is unknown which of them had arrived.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.rollups.rows import Groups, Rows
from context_builder.rollups.scope import known_scores, rollup_scope
from context_builder.rollups.span import by_hour
from context_builder.rollups.store import Rollups
from context_builder.rollups.table import QUALITY, REQUESTS
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
from context_builder.telemetry.rollups import baseline_window, covering_with_baseline
from context_builder.text.formatting import format_count, format_name, format_percent, format_time
from models import RequestStatus
from models.quality_log import MILLION

MIN_SCORES = 20
"""Minimum of scores on each side for a comparison of means."""
NOTABLE_MEAN_CHANGE = 0.03
"""Difference of means that an engineer should look at."""
MIN_STANDARD_ERRORS = 3
"""Minimum standard errors of a notable difference."""
LOW_COVERAGE_PERCENT = 5
"""Coverage below which, as below half of the baseline's, scores are not representative yet."""
MAX_ROWS = 2_000
"""Combinations of deployment and task read of each side, those with the most scores or requests."""
MAX_GROUPS = 12
_WEIGHTS = {"model": 0.6, "task type": 0.55, "deployment": 0.5}
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """Sums of scores on one side of the comparison, and the answered requests they belong to."""

    number: int = 0
    total: int = 0
    """Sum in millionths."""
    squares: int = 0
    """Sum of squares in millionths."""
    answered: int = 0

    def __add__(self, other: ScoreSums) -> ScoreSums:
        return ScoreSums(
            self.number + other.number,
            self.total + other.total,
            self.squares + other.squares,
            self.answered + other.answered,
        )

    @property
    def mean(self) -> float:
        """Return the mean score, from 0 to 1. Requires at least one score."""
        return self.total / self.number / MILLION

    @property
    def squared_error(self) -> float:
        """Return the squared standard error of the mean. Requires at least two scores."""
        variance = self.squares / self.number / MILLION - self.mean**2
        return max(0.0, variance) / (self.number - 1)


@dataclass(frozen=True, slots=True)
class ScoreCell:
    """Scores, or answered requests, that share all dimensions."""

    model: str
    deployment: str
    task_type: str
    in_window: bool
    scores: ScoreSums


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return means by dimension compared with the baseline, significant drops first."""
    hours = _hours(request)
    cells, gaps = await _load_cells(stores.rollups, request, hours)
    now = sum((cell.scores for cell in cells if cell.in_window), ScoreSums())
    before = sum((cell.scores for cell in cells if not cell.in_window), ScoreSums())
    span = f"requests of {format_time(hours.start)} to {format_time(hours.end)}"
    if not now.number and not before.number:
        header = f"no quality scores had arrived for {span} or the 7 days before"
        return Section(header, status=Status.EMPTY, gaps=gaps)
    facts = [
        *_dimension_facts(cells, "model", lambda cell: cell.model),
        *_dimension_facts(cells, "task type", lambda cell: cell.task_type),
        *_dimension_facts(cells, "deployment", lambda cell: cell.deployment),
    ]
    return Section(
        f"{span}: {_format_scores(now)}; the 7 days before: {_format_scores(before)}",
        by_importance(facts),
        Status.OK if facts else Status.EMPTY,
        gaps,
        _headline("mean quality", now, before, Role.COUNT) if now.number else None,
    )


def _headline(
    name: str, now: ScoreSums, before: ScoreSums, role: Role, nouns: tuple[Noun, ...] = ()
) -> Headline:
    text = f"{name} {now.mean:.3f} over {format_count(now.number, 'score')}"
    if before.number:
        text += f", the 7 days before {before.mean:.3f}"
    alarm = None
    if min(now.number, before.number) >= MIN_SCORES:
        alarm = _is_notable(now, before) and now.mean < before.mean
    return Headline(text=text, role=role, nouns=nouns, topic=Topic.QUALITY, alarm=alarm, value=now.mean)


def _hours(request: ContextRequest) -> Window:
    """Return the hours that the window touches, cut off at `as_of`."""
    start = request.window.start.replace(minute=0)
    end = request.window.end.replace(minute=0)
    if end < request.window.end:
        end += _HOUR
    return Window(start, min(end, floor_to_minute(request.as_of)))


async def _load_cells(
    rollups: Rollups, request: ContextRequest, hours: Window
) -> tuple[list[ScoreCell], tuple[str, ...]]:
    scope = await rollup_scope(rollups, request)
    scores = await rollups.read(QUALITY, *by_hour(baseline_window(hours).start, hours.end))
    scores = scores.where(known_scores(scores, request))
    traffic = await rollups.read(REQUESTS, *covering_with_baseline(hours))
    cells = await asyncio.to_thread(_cells, scope.of(scores), scope.of(traffic), hours)
    gaps = scope.gaps
    if request.scope.tiers or request.scope.user_ids:
        unknown = int(scores["scores"][scores.having("tier", ("",))].sum())
        if unknown:
            gaps += (f"{format_count(unknown, 'score')} of users whose tier or budget changed since",)
    return cells, gaps


def _cells(scores: Rows, traffic: Rows, hours: Window) -> list[ScoreCell]:
    answers = traffic.where(traffic.having("status", (RequestStatus.SUCCESS,)))
    columns = ("scores", "score_sum_millionths", "score_square_sum_millionths")
    found = [(*key, ScoreSums(*sums)) for *key, sums in _most_frequent(scores, hours, *columns)]
    found += [
        (*key, ScoreSums(answered=requests))
        for *key, (requests,) in _most_frequent(answers, hours, "requests")
    ]
    return [ScoreCell(*cell) for cell in found]


def _most_frequent(rows: Rows, hours: Window, *columns: str) -> list[tuple[Any, ...]]:
    """Return sums by model, deployment, task type and side: the MAX_ROWS with most of the first column."""
    labels = [rows.labels(dimension) for dimension in ("model", "deployment", "task_type")]
    side = rows.since(hours.start)
    groups = Groups(*(places for _, places in labels), side)
    sums = [groups.sum(rows[column]) for column in columns]
    best = np.lexsort((groups.min(rows["id"]), -sums[0]))[:MAX_ROWS]
    first = groups.first[best]
    names = [[values[place] for place in places[first].tolist()] for values, places in labels]
    totals = zip(*(one[best].tolist() for one in sums), strict=True)
    return list(zip(*names, side[first].tolist(), totals, strict=True))


def _dimension_facts(
    cells: Iterable[ScoreCell], dimension: str, name_of: Callable[[ScoreCell], str]
) -> Iterator[Fact]:
    """Yield the most important facts, one per group that has scores in the window."""
    sides: defaultdict[str, dict[bool, ScoreSums]] = defaultdict(
        lambda: {True: ScoreSums(), False: ScoreSums()}
    )
    for cell in cells:
        sides[name_of(cell)][cell.in_window] += cell.scores
    ranked = sorted(sides.items(), key=lambda item: (-item[1][True].number, item[0]))
    facts = [
        _fact(
            dimension,
            format_name(name) if name else "unknown",
            both[True],
            both[False],
        )
        for name, both in ranked
        if both[True].number
    ]
    yield from sorted(facts, key=lambda fact: -fact.importance)[:MAX_GROUPS]


def _fact(dimension: str, group: str, now: ScoreSums, before: ScoreSums) -> Fact:
    name, weight = f"{dimension} {group}", _WEIGHTS[dimension]
    nouns = (Noun(dimension),) if dimension in set(Noun) else ()
    headline = _headline(f"{group} mean quality", now, before, Role.RANKING, nouns)
    head = f"{name}: mean quality {now.mean:.3f}"
    text = f"{name}: {_format_scores(now)}; the 7 days before: {_format_scores(before)}"
    if min(now.number, before.number) < MIN_SCORES:
        text += "; too few scores to compare"
        return Fact(text, head, weight / 2, kind="quality comparisons", headline=headline)
    difference = now.mean - before.mean
    text += f"; {'down' if difference < 0 else 'up'} {abs(difference):.3f}"
    if _is_notable(now, before):
        text += ", significant"
        head += f", {'DOWN' if difference < 0 else 'up'} {abs(difference):.3f} from the 7 days before"
        weight = 0.9 + weight / 10 if difference < 0 else 0.75
    if _has_low_coverage(now, before):
        text += "; LOW coverage, most scores may still arrive"
    return Fact(text, head, weight, kind="quality comparisons", headline=headline)


def _is_notable(now: ScoreSums, before: ScoreSums) -> bool:
    """Return whether the means differ by more than chance, and enough to matter."""
    difference = abs(now.mean - before.mean)
    error = math.sqrt(now.squared_error + before.squared_error)
    return difference >= NOTABLE_MEAN_CHANGE and difference >= MIN_STANDARD_ERRORS * error


def _has_low_coverage(now: ScoreSums, before: ScoreSums) -> bool:
    """Return whether most of the expected scores are missing."""
    low = now.number * 100 < now.answered * LOW_COVERAGE_PERCENT
    return low or 2 * now.number * before.answered < before.number * now.answered


def _format_scores(scores: ScoreSums) -> str:
    if not scores.number:
        return f"no scores of {format_count(scores.answered, 'answered request')}"
    covered = format_percent(min(scores.number, scores.answered), scores.answered)
    return (
        f"mean quality {scores.mean:.3f} over {format_count(scores.number, 'score')} "
        f"({covered} of {format_count(scores.answered, 'answered request')})"
    )


source = ContextSource("quality", "Q", frozenset({Topic.QUALITY}), 3.0, read, shows_to_confined=Shown.NOTHING)
