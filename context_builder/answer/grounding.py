"""Checks an answer against the facts it was given: references, numbers, times and names. Pure.

A sentence is supported when every reference in it was in the prompt, every number, time and name in it
occurs in the facts it cites, and it states no number without citing anything. Names and times without a
reference, and whatever stands in a block of code, must occur somewhere in the prompt.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from context_builder.answer.answer import Citation, ClaimIssue, Unsupported
from context_builder.answer.claims import Claim, TimeClaim, Name, Quantity, find_claims
from context_builder.answer.sentences import Sentence, split_sentences

_MAX_SENTENCE = 600
"""Longest sentence that is repeated beside a doubt about it."""

_NUMBER_IN_NAME = re.compile(r"v?(\d+(?:\.\d+)?)")
_MIN_CODE = 100
"""From here on a number in a name may stand for it: `503` for `http_503`; others need the word before."""
_SEPARATOR = re.compile(r"[-_/.:@+#]")
_SAME_UNIT_ONLY = ("%", "times")


@dataclass(frozen=True, slots=True)
class Grounding:
    """What of an answer the facts carry."""

    citations: tuple[Citation, ...]
    unsupported: tuple[Unsupported, ...]


def ground(answer: str, shown: Mapping[str, str], sources: Mapping[str, str], stated: str) -> Grounding:
    """Checks every sentence of an answer.

    `shown` gives the text and `sources` the source of each reference in the prompt. What is `stated` beside
    the facts, such as the question, may be repeated without a reference.
    """
    cited: dict[str, Citation] = {}
    unsupported: list[Unsupported] = []
    evidence = _Evidences(shown, stated)
    for sentence in split_sentences(answer):
        for ref in sentence.refs:
            if ref in shown:
                cited.setdefault(ref, Citation(ref, sources[ref], shown[ref]))
            else:
                unsupported.append(Unsupported(_clipped(sentence), ClaimIssue.UNKNOWN_REFERENCE, ref))
        for claim, doubt in evidence.doubts(sentence):
            unsupported.append(Unsupported(_clipped(sentence), doubt, claim.written))
    return Grounding(tuple(cited.values()), tuple(dict.fromkeys(unsupported)))


def _clipped(sentence: Sentence) -> str:
    text = sentence.text
    return text if len(text) <= _MAX_SENTENCE else f"{text[:_MAX_SENTENCE]} …"


class _Evidences:
    """The facts of a prompt, each read once."""

    def __init__(self, shown: Mapping[str, str], stated: str) -> None:
        self._shown = shown
        self._stated = ClaimIndex([stated])
        self._everything = ClaimIndex([*shown.values(), stated])
        self._by_ref: dict[str, ClaimIndex] = {}

    def doubts(self, sentence: Sentence) -> Iterator[tuple[Claim, ClaimIssue]]:
        cited = [self._stated, *(self._of(ref) for ref in sentence.refs if ref in self._shown)]
        for claim in find_claims(sentence.claim):
            if any(evidence.holds(claim) for evidence in cited) or claim.written in self._shown:
                continue
            doubt = self._doubt(claim, sentence)
            if doubt is not None:
                yield claim, doubt

    def _doubt(self, claim: Claim, sentence: Sentence) -> ClaimIssue | None:
        """What is wrong with a claim that the cited facts do not hold."""
        known = self._everything.holds(claim)
        if isinstance(claim, Name):
            if not known:
                return ClaimIssue.UNKNOWN_NAME if self._everything.may_name(claim) else None
            return ClaimIssue.NAME_NOT_IN_FACTS if not self._shown.keys().isdisjoint(sentence.refs) else None
        if sentence.refs:
            return ClaimIssue.NUMBER_NOT_IN_FACTS
        # A number is checked against what it is said of; a time, or what stands in code, against everything.
        suffices = known and (sentence.is_code or isinstance(claim, TimeClaim))
        return None if suffices else ClaimIssue.NUMBER_WITHOUT_REFERENCE

    def _of(self, ref: str) -> ClaimIndex:
        if ref not in self._by_ref:
            self._by_ref[ref] = ClaimIndex([self._shown[ref]])
        return self._by_ref[ref]


class ClaimIndex:
    """The numbers, times and names that some texts hold."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._units: defaultdict[Decimal, set[str]] = defaultdict(set)
        self._spans: set[Decimal] = set()
        self._spoken: set[tuple[str, Decimal]] = set()
        self._days: set[tuple[str | None, tuple[int, int] | None]] = {(None, None)}
        self._clocks: set[tuple[int, ...]] = set()
        self._dated: set[tuple[str | None, tuple[int, int] | None, tuple[int, ...]]] = set()
        self._names: set[str] = set()
        self._pair_parts: set[str] = set()
        for text in texts:
            for claim in find_claims(text):
                self._add(claim)

    def _add(self, claim: Claim) -> None:
        if isinstance(claim, Quantity):
            self._units[claim.value].add(claim.unit)
            if claim.milliseconds is not None:
                self._spans.add(claim.milliseconds)
        elif isinstance(claim, TimeClaim):
            self._add_moment(claim)
        else:
            self._add_name(claim)

    def _add_moment(self, moment: TimeClaim) -> None:
        for year in {moment.year, None}:
            self._days.add((year, moment.day))
            for clock in {moment.clock, moment.clock[:2]}:
                self._dated.add((year, moment.day, clock))
                self._clocks.add(clock)

    def _add_name(self, name: Name) -> None:
        self._names |= {_spelled(word) for word in (name.folded, *name.parts)}
        if len(name.parts) > 1:
            self._pair_parts |= set(name.parts)
        pieces = _SEPARATOR.split(name.folded)
        self._names |= {piece for piece in pieces if piece and not piece.isalpha()}
        for before, piece in zip(["version", *pieces], [*pieces, ""], strict=True):
            self._add_number(before, piece)
        for part in name.parts:
            self._add_number("version", part)

    def _add_number(self, before: str, piece: str) -> None:
        """`gpt 4` and `version 2.4` name what `gpt-4` and `v2.4` do."""
        number = _NUMBER_IN_NAME.fullmatch(piece)
        if number:
            value = Decimal(number.group(1))
            self._spoken.add((before, value))
            if value >= _MIN_CODE:
                self._units[value].add("")

    def may_name(self, claim: Name) -> bool:
        """Whether it can be meant as a name: `claude/gcp` is one where `claude/aws` is, `and/or` never."""
        return not claim.is_pair_of_words or not self._pair_parts.isdisjoint(claim.parts)

    def holds(self, claim: Claim) -> bool:
        """Whether some text says the same."""
        if isinstance(claim, Quantity):
            return self._holds_quantity(claim)
        if isinstance(claim, TimeClaim):
            return self._holds_moment(claim)
        return _spelled(claim.folded) in self._names

    def _holds_quantity(self, claim: Quantity) -> bool:
        """The number, with the same unit where both have one, or the same span in another unit."""
        if (claim.after, claim.value) in self._spoken:
            return True
        units = self._units.get(claim.value, set())
        if claim.unit in units or (units and not claim.unit):
            return True
        if "" in units and claim.unit not in _SAME_UNIT_ONLY:
            return True
        return any(claim.rounds(span) for span in self._spans)

    def _holds_moment(self, claim: TimeClaim) -> bool:
        """The date and the time as far as written; a time of day belongs to any date beside it."""
        if not claim.clock:
            return (claim.year, claim.day) in self._days
        if claim.day is None:
            return claim.clock in self._clocks
        dated = (claim.year, claim.day, claim.clock) in self._dated
        return dated or ((claim.year, claim.day) in self._days and (None, None, claim.clock) in self._dated)


def _spelled(name: str) -> str:
    """Hyphens and underscores are often left out, and so is the v of a version."""
    bare = name.replace("-", "").replace("_", "")
    return bare[1:] if bare[:1] == "v" and bare[1:2].isdigit() else bare
