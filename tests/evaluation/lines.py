"""The lines of a prompt as a reader takes them in: their reference, their words, numbers and times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from tests.evaluation.ledger import Figure, Unit

_REFERENCE = re.compile(r"^\[([A-Z]+)(\d+)\] (.*)$", re.MULTILINE)
_DATED = re.compile(r"\b(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?Z?")
_BOUNDS = re.compile(rf"\b(?:not before|not after|until) {_DATED.pattern}")
_CLOCK = re.compile(r"(?<![\d:-])(\d{2}:\d{2})(?::\d{2})?(?![\d:])")
_AGO = re.compile(r"(?:(\d+) h(?:ours?)? ?)?(?:(\d+) ?(?:min(?:utes?)?|m)\b ?)?(?:ago|so far)")
_FROM_ONSET = re.compile(
    r"(?:(?:(\d+) d(?:ays?)? )?(?:(\d+) h(?:ours?)? )?(?:(\d+) ?(?:min(?:utes?)?|m) ?)?"
    r"(?:(\d+) s(?:ec\w*)? )?"
    r"(before|after) (?:the )?onset)|\b(at) the onset"
)
_NUMBER = re.compile(
    r"(?<![\w/$])(?<![\w)]-)(?<!\w\.)(?P<dollars>\$)?(?P<value>\d[\d,]*(?:\.\d+)?)"
    r"(?:\s?(?P<unit>%|percent\b|ms\b|s\b|seconds?\b|times\b|x\b|×|-fold\b))?(?![\w/]|-\w|\.\d)"
    r"(?P<other> of (?!(?:its |the |all )?(?:requests|calls|answers)\b)[a-z])?"
)
_LABEL = re.compile(r"\b(p50|p90|p95|p99|median|mean|average|avg)\b[^,;]{0,30}$", re.IGNORECASE)
_PREVIOUS = re.compile(r"\b(?:before|was|from)[ :]$|\bsuccess[^,;(]{0,12}\($", re.IGNORECASE)
_SAME_LABEL = {"median": "p50", "average": "mean", "avg": "mean"}
_UNITS = {
    "%": Unit.PERCENT, "percent": Unit.PERCENT, "ms": Unit.MILLISECONDS, "s": Unit.MILLISECONDS,
    "second": Unit.MILLISECONDS, "seconds": Unit.MILLISECONDS, "times": Unit.TIMES, "x": Unit.TIMES,
    "×": Unit.TIMES, "-fold": Unit.TIMES,
}  # fmt: skip
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its unit, the percentile that it is said to be, and what follows it."""

    unit: Unit
    value: float
    label: str
    after: str


@dataclass(frozen=True)
class Line:
    """One line of a prompt that has a reference."""

    prefix: str
    number: int
    text: str
    """Without its reference."""

    @property
    def is_fact(self) -> bool:
        """A fact, not the summary of a source."""
        return self.number > 0

    @cached_property
    def _folded(self) -> str:
        return self.text.casefold()

    def names(self, words: Iterable[str]) -> bool:
        """Whether all of these stand in it, each whole."""
        return all(
            word.casefold() in self._folded
            and re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", self._folded)
            for word in words
        )

    def about(self, name: str, others: Iterable[str]) -> Line:
        """Where it speaks of several of a kind, what it says of one: the words behind its name."""
        marks = sorted(
            (match.start(), one)
            for one in (name, *others)
            for match in re.finditer(rf"(?<![\w/-]){re.escape(one.casefold())}(?![\w/-])", self._folded)
        )
        if all(one == name for _, one in marks) or name not in (one for _, one in marks):
            return self
        ends = [start for start, _ in marks[1:]] + [len(self.text)]
        own = [self.text[start:end] for (start, one), end in zip(marks, ends, strict=True) if one == name]
        return Line(self.prefix, self.number, " ".join(own))

    def speaks_of(self, pattern: str) -> bool:
        """Whether a pattern matches somewhere in it."""
        return re.search(pattern, self._folded) is not None

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """All numbers but those of times and names."""
        return tuple(_numbers(_CLOCK.sub(" ", _DATED.sub(" ", self.text))))

    def states(self, figures: Iterable[Figure]) -> bool:
        """Whether one of its numbers is one of these figures."""
        return any(_is(number, figure) for figure in figures for number in self.numbers)

    @cached_property
    def relative(self) -> tuple[timedelta, ...]:
        """How long after what it tells the onset was."""
        found = []
        for days, hours, minutes, seconds, side, _ in _FROM_ONSET.findall(self._folded):
            span = timedelta(
                days=int(days or 0),
                hours=int(hours or 0),
                minutes=int(minutes or 0),
                seconds=int(seconds or 0),
            )
            found.append(-span if side == "after" else span)
        return tuple(found)

    def moments(self, as_of: datetime) -> list[datetime]:
        """The times that it names: dated, by the clock alone, or as long ago; not mere bounds of one."""
        text = _BOUNDS.sub(" ", self.text)
        found = [
            datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
            for day, clock in _DATED.findall(text)
        ]
        for clock in _CLOCK.findall(_DATED.sub(" ", text)):
            hour, minute = map(int, clock.split(":"))
            if hour < 24 and minute < 60:
                at = as_of.replace(hour=hour, minute=minute, second=0, microsecond=0)
                found.append(at if at <= as_of else at - _DAY)
        for hours, minutes in _AGO.findall(self.text):
            if hours or minutes:
                found.append(as_of - timedelta(hours=int(hours or 0), minutes=int(minutes or 0)))
        return found


def lines_of(prompt: str) -> list[Line]:
    """The referenced lines of a prompt, in the order shown."""
    return [Line(prefix, int(number), text) for prefix, number, text in _REFERENCE.findall(prompt)]


def _numbers(text: str) -> Iterator[Number]:
    for match in _NUMBER.finditer(text):
        if match["other"] and match["unit"] in ("%", "percent"):
            continue  # a share of something else: of the failures, of the change, of a capacity
        if _PREVIOUS.search(text[: match.start()]):
            continue  # what it was, or of those that did not fail
        value = float(match["value"].replace(",", ""))
        unit = Unit.DOLLARS if match["dollars"] else _UNITS.get(match["unit"] or "", Unit.PLAIN)
        if match["unit"] in ("s", "second", "seconds"):
            value *= 1_000
        label = _LABEL.search(text[: match.start()])
        word = label.group(1).casefold() if label else ""
        yield Number(unit, value, _SAME_LABEL.get(word, word), text[match.end() : match.end() + 40].lstrip())


def _is(number: Number, figure: Figure) -> bool:
    if number.unit is not figure.unit or not figure.admits(number.value):
        return False
    if figure.noun and not re.match(figure.noun, number.after, re.IGNORECASE):
        return False
    return not (number.label and figure.label) or number.label == figure.label
