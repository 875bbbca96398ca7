"""The facts that a right answer needs, as predicates over any prompt, and over rows shown as they are.

A predicate asks for names, ids, times and numbers, never for the wording of a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tests.evaluation.ledger import TOLERANCE, Figure, Ledger, Metric, Span, Unit
from tests.evaluation.lines import Line
from tests.evaluation.traffic import EVERYTHING, Sent, Slice

ENOUGH_ROWS = 20
"""So many requests of a slice before and after let a reader of rows see a change."""
_SINGLE_REQUEST = "req_"
_SHIFT_SOURCES = ("DR", "CH")
_STATES = r"\b(?:down|degraded|unhealthy|flap\w*)\b"
_METRIC_WORDS = {
    Metric.ERRORS: r"error|fail|timeout|rate.limited",
    Metric.LATENCY: r"latenc|p50\b|p9\d\b|median|mean|response time",
    Metric.VOLUME: r"requests|traffic|volume",
    Metric.QUALITY: r"quality|scores?\b",
}

Words = frozenset[str]


@dataclass(frozen=True)
class Prompt:
    """A prompt as the predicates see it."""

    lines: Sequence[Line]
    ledger: Ledger
    window: Span
    kinds: tuple[frozenset[str], ...] = ()
    """Names that stand beside each other in lists: of deployments, of users, of tiers, of versions."""


@dataclass(frozen=True)
class ShownRows:
    """What a prompt of raw rows shows: which requests, and the text of every row by table."""

    requests: Sequence[Sent]
    scored: frozenset[str]
    """Public ids of requests whose score is shown."""
    texts: dict[str, list[str]]


class Requirement(Protocol):
    """One fact that a right answer needs."""

    @property
    def name(self) -> str:
        """What the requirement is called in tables."""

    @property
    def causal(self) -> bool:
        """True if it says why; its rank in the prompt is measured."""

    def found(self, prompt: Prompt) -> int | None:
        """Index of the first line that holds it."""

    def derivable(self, rows: ShownRows) -> bool:
        """Whether a careful reader of these rows could tell."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One way in which a symptom may be told: of whom, and by which figures or words."""

    words: Words
    """Empty: the gateway as a whole."""
    where: Slice = EVERYTHING
    metric: Metric | None = None
    figures: tuple[Figure, ...] = ()
    """Right figures beside those that follow from the requests."""
    about: str = ""
    """A pattern without which `figures` say something else."""
    terms: str = ""
    """A pattern that says it without a figure."""

    @property
    def name(self) -> str:
        """How it stands in lists: a deployment by its public id."""
        (one,) = self.where.deployments if len(self.where.deployments) == 1 and len(self.words) > 1 else ("",)
        return one or min(self.words, default="")


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something is named together with what is wrong with it."""

    name: str
    signs: tuple[Sign, ...]
    affected: Span
    causal: bool = False
    table: str = ""
    """A table whose rows tell it, beside the requests; `row` is what such a row holds."""
    row: str = ""

    def found(self, prompt: Prompt) -> int | None:
        """The first fact that names one of those affected with a right figure."""
        return next((n for n, line in enumerate(prompt.lines) if self.tells(line, prompt)), None)

    def tells(self, line: Line, prompt: Prompt) -> bool:
        """Whether a line is such a fact; single requests are none."""
        if not line.is_fact or _SINGLE_REQUEST in line.text:
            return False
        return any(line.names(sign.words) and self._told(line, sign, prompt) for sign in self.signs)

    def _told(self, line: Line, sign: Sign, prompt: Prompt) -> bool:
        own = line.about(
            sign.name, next((kind - {sign.name} for kind in prompt.kinds if sign.name in kind), ())
        )
        if sign.terms and own.speaks_of(sign.terms):
            return True
        if sign.figures and own.speaks_of(sign.about) and own.states(sign.figures):
            return True
        return bool(
            sign.metric
            and line.speaks_of(_METRIC_WORDS[sign.metric])
            and own.states(prompt.ledger.figures(sign.metric, sign.where, self.affected, prompt.window))
        )

    def figures(self, sign: Sign, ledger: Ledger, window: Span) -> list[Figure]:
        """What may be stated of a sign."""
        measured = ledger.figures(sign.metric, sign.where, self.affected, window) if sign.metric else []
        return [*sign.figures, *measured]

    def derivable(self, rows: ShownRows) -> bool:
        """Enough requests on both sides, or a row that says it."""
        if self.row and _is_shown(rows, self.table, self.row):
            return True
        return any(sign.metric and _both_sides(rows, sign, self.affected[0]) for sign in self.signs)


def _is_shown(rows: ShownRows, table: str, row: str) -> bool:
    parts = row.split("|")
    return any(all(part in text for part in parts) for text in rows.texts.get(table, ()))


def _both_sides(rows: ShownRows, sign: Sign, onset: datetime) -> bool:
    shown = [
        sent
        for sent in rows.requests
        if sign.where.holds(sent) and (sign.metric is not Metric.QUALITY or sent.public_id in rows.scored)
    ]
    after = sum(sent.moment >= onset for sent in shown)
    return after >= ENOUGH_ROWS and len(shown) - after >= ENOUGH_ROWS


@dataclass(frozen=True, slots=True)
class Event:
    """One recorded event is shown: a change, a job, a log line."""

    name: str
    at: datetime
    alternatives: tuple[Words, ...]
    """Words that identify it, of which one set must stand in one line."""
    table: str
    row: str
    """What its row holds and no other; several parts are joined by `|`."""
    causal: bool = True

    def tells(self, line: Line) -> bool:
        """Whether a line shows it."""
        return line.is_fact and any(line.names(words) for words in self.alternatives)

    def found(self, prompt: Prompt) -> int | None:
        """The first fact that shows it."""
        return next((n for n, line in enumerate(prompt.lines) if self.tells(line)), None)

    def derivable(self, rows: ShownRows) -> bool:
        """Its row is there."""
        return _is_shown(rows, self.table, self.row)


@dataclass(frozen=True, slots=True)
class Onset:
    """When it began: on a line about those affected, or counted from an event to "the onset"."""

    name: str
    moments: tuple[datetime, ...]
    symptom: Symptom
    tolerance: timedelta = TOLERANCE
    causal: bool = False

    def found(self, prompt: Prompt) -> int | None:
        """The first line that states a time near enough, be it the summary of a source."""
        as_of = prompt.ledger.as_of
        return next(
            (n for n, line in enumerate(prompt.lines) if self._near(self._stated(line, prompt, as_of))), None
        )

    def _stated(self, line: Line, prompt: Prompt, as_of: datetime) -> list[datetime]:
        """The times of a line that can be meant as a beginning; an event that is merely near is none."""
        if _SINGLE_REQUEST in line.text:
            return []
        if line.relative:
            return [at + offset for at in line.moments(as_of)[:1] for offset in line.relative]
        return line.moments(as_of) if line.speaks_of("onset") or self._is_about(line, prompt) else []

    def _is_about(self, line: Line, prompt: Prompt) -> bool:
        named = any(line.names(sign.words) for sign in self.symptom.signs)
        if line.prefix in _SHIFT_SOURCES:
            return line.speaks_of(self._metrics() if line.number else f"(?:{self._metrics()}) \\w+ from")
        return (named and line.speaks_of(_STATES)) or self.symptom.tells(line, prompt)

    def _metrics(self) -> str:
        metrics = {sign.metric for sign in self.symptom.signs if sign.metric}
        return "|".join(_METRIC_WORDS[metric] for metric in sorted(metrics)) or _STATES

    def _near(self, moments: Iterable[datetime]) -> bool:
        return any(abs(at - true) <= self.tolerance for at in moments for true in self.moments)

    def derivable(self, rows: ShownRows) -> bool:
        """What began is derivable, and requests are shown close to the onset on both sides."""
        if not self.symptom.derivable(rows):
            return False
        shown = [
            sent.moment
            for sent in rows.requests
            if any(sign.where.holds(sent) for sign in self.symptom.signs)
        ]
        return any(
            any(moment - self.tolerance <= at < moment for at in shown)
            and any(moment <= at <= moment + self.tolerance for at in shown)
            for moment in self.moments
        )


def plain(number: float, noun: str) -> Figure:
    """A count of what a pattern says."""
    return Figure(Unit.PLAIN, number, noun=noun)


def times(number: float) -> Figure:
    """How often something happened."""
    return Figure(Unit.TIMES, number)


def percent(number: float, tolerance: float = 0.1) -> Figure:
    """A share."""
    return Figure(Unit.PERCENT, number, tolerance)
