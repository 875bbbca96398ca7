"""Arranges atoms as English does: each rule turns a sequence of roles into one phrase."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from context_builder.question.language.atom import Atom, Kind, Piece

_CODES = {kind: chr(0xE000 + number) for number, kind in enumerate(Kind)}
"""One character of the private use area per role, so that a rule is a regular expression over roles."""
_FIRST_UNSPACED = "\u2e80"
"""From this character on the scripts are written without spaces."""
_TEMPLATE = re.compile(r"\{(\d)\}|([^{}]+)")

_GLUE = frozenset({Kind.LINK, Kind.PARTICLE, Kind.OF, Kind.ARTICLE})
_NAMED = frozenset(
    {Kind.WEEKDAY_SHORT, Kind.PERIOD, Kind.MONTH, Kind.MOMENT, Kind.WEEKDAY, Kind.DAY, Kind.EVENT}
)
_MARKS = frozenset({Kind.UNIT, Kind.UNIT_SHORT, Kind.DAY_MARK, Kind.MONTH_MARK, Kind.YEAR_MARK})
_BELONG = {
    Kind.NUMBER: _MARKS,
    Kind.ORDINAL: _NAMED | _MARKS,
    Kind.LAST: _NAMED | _MARKS,
    Kind.EDGE: _NAMED | _MARKS,
    Kind.BEFORE_AND_AFTER: _NAMED | _MARKS,
}
"""Roles that have to do with time, each with those beside which it should have become part of a phrase."""
_IS_COUNTED = re.compile(r"second|\w+ents|outages")
"""A figure, or several events: `the last 5 incidents`."""

Reading = Callable[..., str | None]
"""Returns the English of a phrase from the texts of its groups; None if it is no such phrase."""


@dataclass(frozen=True)
class Rule:
    """A sequence of roles, and what it becomes: a template of its groups, or a function of their texts."""

    roles: str
    """A regular expression over the codes of roles."""
    kind: Kind
    becomes: str | Reading

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled on use: English questions need none of them."""
        return re.compile(self.roles)

    def phrase(self, match: re.Match[str], atoms: list[Atom]) -> Atom | None:
        """Return the phrase that the matched atoms become."""
        found = atoms[match.start() : match.end()]
        groups = [list(joined(atoms[first:last])) for first, last in match.regs[1:]]
        if isinstance(self.becomes, str):
            pieces = tuple(_filled(self.becomes, groups, found))
        else:
            text = self.becomes(*("".join(piece.text for piece in group) for group in groups))
            pieces = (_whole(text, found),) if text else ()
        return Atom(self.kind, pieces, found[0].is_spaced) if pieces else None


def rule(pattern: str, kind: Kind, becomes: str | Reading, sets: Mapping[str, str]) -> Rule:
    """Return a rule from a pattern of role names, which may also be names of `sets`, patterns themselves."""

    def coded(text: str) -> str:
        return re.sub(r"[a-z_]+", lambda m: coded(sets[m[0]]) if m[0] in sets else _CODES[Kind(m[0])], text)

    return Rule(coded(pattern).replace(" ", ""), kind, becomes)


def arrange(atoms: list[Atom], rules: Iterable[Rule]) -> list[Atom]:
    """Apply every rule once, in order; each takes time linear in the number of atoms."""
    for each in rules:
        arranged: list[Atom] = []
        done = 0
        for match in each.pattern.finditer("".join(_CODES[atom.kind] for atom in atoms)):
            phrase = each.phrase(match, atoms)
            if phrase:
                arranged += [*atoms[done : match.start()], phrase]
                done = match.end()
        atoms = [*arranged, *atoms[done:]]
    return atoms


def left_over(atoms: Iterable[Atom]) -> Iterator[Atom]:
    """Yield what no rule took up: words that nobody reads, and those of time beside other ones."""
    before: Atom | None = None
    for atom in atoms:
        if atom.kind is Kind.UNREAD:
            yield atom
        if atom.kind in _GLUE:
            continue
        for one, other in ((before, atom), (atom, before)):
            if (
                one
                and other
                and other.kind in _BELONG.get(one.kind, ())
                and not _IS_COUNTED.search(other.text)
            ):
                yield from (one, other)
        before = atom


def joined(atoms: Iterable[Atom]) -> Iterator[Piece]:
    """Yield the pieces of atoms in a row, with the spaces that English needs between them."""
    before: Piece | None = None
    for atom in atoms:
        if before and (atom.is_spaced or _need_space(before, atom.pieces[0])):
            yield Piece(" ", atom.start, atom.start)
        yield from atom.pieces
        before = atom.pieces[-1]


def _need_space(before: Piece, after: Piece) -> bool:
    left, right = before.text[-1], after.text[0]
    if not (left.isalnum() and right.isalnum()):
        return False
    was_one_word = before.is_as_asked and after.is_as_asked and before.end == after.start
    return not (was_one_word and (left < _FIRST_UNSPACED) == (right < _FIRST_UNSPACED))


def _filled(template: str, groups: list[list[Piece]], found: list[Atom]) -> Iterator[Piece]:
    for group, literal in _TEMPLATE.findall(template):
        yield from groups[int(group) - 1] if group else [_whole(literal, found)]


def _whole(text: str, atoms: list[Atom]) -> Piece:
    return Piece(text, min(atom.start for atom in atoms), max(atom.end for atom in atoms))
