"""Rules that replace neighbouring atoms by one, written as patterns over the kinds of atoms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from context_builder.question.mention import TextSpan
from context_builder.question.times.atom import Atom

KINDS = (
    # words as they stand
    "word mask count change comma dot mark dash slash possessive a the of and half so far earlier date zone "
    "time number ordinal second year fraction epoch unit quarter month shortmonth may weekday shortweekday "
    "ordinalday clock dayname overnight tonight part weekend working filter edge named todate anchor "
    # words that relate times
    "at prep during around since after before until up from between to last past previous this next ago now "
    # what rules build
    "duration day period moment hours weak open mention"
)
"""The kinds of atoms; the last line holds times, of which `day` and `period` take a time of day."""

CLASSES = {
    "UNIT": "unit second quarter",
    "NUM": "number year",
    "NTH": "number ordinal second ordinalday",
    "MONTH": "month shortmonth may",
    "WEEKDAY": "weekday shortweekday",
    "FILTER": "filter weekday shortweekday",
    "DAY": "day period",
    "SPAN": "day period moment mention anchor",
    "TIME": "day period moment hours clock anchor",
    "LAST": "last past previous",
    "THIS": "last past previous this",
}
FRAGMENTS = {
    "GLUE": "comma? [at prep during of around]? the?",
    # What may follow makes a number a count of something, not a day or an hour.
    "UNCOUNTED": "(?![UNIT MONTH count word duration])",
    # Words after which a word that is rarely a time, such as `may` or `sat`, is one.
    "LEAD": "(?<=[at prep during since after before until from between THIS edge of])",
}
_LETTERS = {kind: chr(0x100 + number) for number, kind in enumerate(KINDS.split())}


@dataclass(frozen=True, slots=True)
class Phrase:
    """The atoms that a pattern matched."""

    atoms: tuple[Atom, ...]

    def every(self, kinds: str) -> list[Atom]:
        """Return the atoms of some kinds, a list of words, in order."""
        wanted = kinds.split()
        return [atom for atom in self.atoms if atom.kind in wanted]

    def get(self, kinds: str) -> Atom | None:
        """Return the first atom of some kinds."""
        return next(iter(self.every(kinds)), None)

    def one(self, kinds: str) -> Atom:
        """Return the first atom of some kinds, which the pattern contains."""
        return self.every(kinds)[0]


Build = Callable[[Phrase], Atom | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of kinds and what becomes of the atoms that match; None leaves them as they are."""

    pattern: re.Pattern[str]
    build: Build


def rule(pattern: str, build: Build) -> Rule:
    """Make a rule; names in a pattern are of KINDS or CLASSES, the rest is a regular expression.

    Patterns have no unbounded repetition, so that reading takes linear time.
    """
    for name, fragment in FRAGMENTS.items():
        pattern = re.sub(rf"\b{name}\b", fragment, pattern)
    pattern = re.sub(r"\[.*?\]|[A-Z]+", _expanded, pattern)
    letters = re.sub(r"[a-z]+", lambda name: _LETTERS[name[0]], pattern)
    return Rule(re.compile(letters.replace(" ", "")), build)


def _expanded(part: re.Match[str]) -> str:
    """Replace the names of classes, alone or in brackets, by their kinds."""
    inside = part[0].strip("[]")
    return "[" + re.sub(r"[A-Z]+", lambda name: CLASSES[name[0]], inside) + "]"


def apply(rules: Iterable[Rule], atoms: list[Atom]) -> list[Atom]:
    """Apply each rule once, from left to right over the whole text, in order."""
    kinds = _kinds(atoms)
    for each in rules:
        if each.pattern.search(kinds):
            atoms = list(_replaced(each, kinds, atoms))
            kinds = _kinds(atoms)
    return atoms


def _kinds(atoms: list[Atom]) -> str:
    return "".join(_LETTERS[atom.kind] for atom in atoms)


def _replaced(applied: Rule, kinds: str, atoms: list[Atom]) -> Iterator[Atom]:
    done = 0
    for match in applied.pattern.finditer(kinds):
        matched = tuple(atoms[match.start() : match.end()])
        built = applied.build(Phrase(matched))
        if built is None:
            continue
        yield from atoms[done : match.start()]
        zone = built.zone or next((atom.zone for atom in matched if atom.zone), None)
        yield replace(built, span=TextSpan(matched[0].span.start, matched[-1].span.end), zone=zone)
        done = match.end()
    yield from atoms[done:]
