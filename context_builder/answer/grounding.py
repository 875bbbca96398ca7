"""Checks the references, numbers, times, names and actions of an answer against its prompt. Pure.

A sentence is supported if all its references were in the prompt, all its numbers, times and names occur in
the facts that it cites, and it states no number without a reference. Names and times without a reference,
and everything in a code block, must occur somewhere in the prompt.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from context_builder.answer.actions import ActionIndex
from context_builder.answer.answer import Citation, ClaimIssue, Unsupported
from context_builder.answer.claims import Claim, Name, Quantity, TimeClaim, find_claims
from context_builder.answer.sentences import Sentence, split_sentences

_MAX_SENTENCE = 600
"""Length of a sentence that is quoted with an issue, in characters."""

_NUMBER_IN_NAME = re.compile(r"v?(\d+(?:\.\d+)?)")
_MIN_CODE = 100
"""A number in a name identifies it from this value on: `503` means `http_503`; others need their label."""
_SEPARATOR = re.compile(r"[-_/.:@+#]")
_SAME_UNIT_ONLY = ("%", "times")


@dataclass(frozen=True, slots=True)
class Grounding:
    """The citations and unsupported claims of an answer."""

    citations: tuple[Citation, ...]
    unsupported: tuple[Unsupported, ...]


def ground(
    answer: str,
    shown: Mapping[str, str],
    sources: Mapping[str, str],
    uncited: str,
    approved: Collection[str] = (),
) -> Grounding:
    """Check every sentence of an answer.

    `shown` and `sources` map each reference in the prompt to its text and source. `uncited` is text beside
    the facts, such as the question, which may be repeated without a reference. `approved` are references of
    facts whose quotations an operator wrote or approved.
    """
    cited: dict[str, Citation] = {}
    unsupported: list[Unsupported] = []
    prompt, actions = PromptClaims(shown, uncited), ActionIndex(shown, uncited, approved)
    for sentence in split_sentences(answer):
        for ref in sentence.refs:
            if ref in shown:
                cited.setdefault(ref, Citation(ref, sources[ref], shown[ref]))
            else:
                unsupported.append(Unsupported(_quote(sentence), ClaimIssue.UNKNOWN_REFERENCE, ref))
        acted = dict(actions.issues(sentence))
        for claim, issue in prompt.issues(sentence):
            if claim.written not in acted:  # a link is a name as well, and marked once
                unsupported.append(Unsupported(_quote(sentence), issue, claim.written))
        for detail, issue in acted.items():
            unsupported.append(Unsupported(_quote(sentence), issue, detail[:_MAX_SENTENCE]))
    return Grounding(tuple(cited.values()), tuple(dict.fromkeys(unsupported)))


def _quote(sentence: Sentence) -> str:
    text = sentence.text
    return text if len(text) <= _MAX_SENTENCE else f"{text[:_MAX_SENTENCE]} …"


class PromptClaims:
    """The claims of a prompt, indexed once per fact."""

    def __init__(self, shown: Mapping[str, str], uncited: str) -> None:
        self._shown = shown
        self._uncited = ClaimIndex([uncited])
        self._everything = ClaimIndex([*shown.values(), uncited])
        self._by_ref: dict[str, ClaimIndex] = {}

    def supports(self, text: str) -> bool:
        """Return True if a text has references of the prompt only, and no unsupported claim."""
        return all(
            self._shown.keys() >= set(sentence.refs) and next(self.issues(sentence), None) is None
            for sentence in split_sentences(text)
        )

    def issues(self, sentence: Sentence) -> Iterator[tuple[Claim, ClaimIssue]]:
        """Yield the unsupported claims of a sentence."""
        cited = [self._uncited, *(self._of(ref) for ref in sentence.refs if ref in self._shown)]
        for claim in find_claims(sentence.claim):
            if any(index.contains(claim) for index in cited) or claim.written in self._shown:
                continue
            issue = self._issue(claim, sentence)
            if issue is not None:
                yield claim, issue

    def _issue(self, claim: Claim, sentence: Sentence) -> ClaimIssue | None:
        """Return the issue of a claim that the cited facts do not contain; None if it is acceptable."""
        known = self._everything.contains(claim)
        if isinstance(claim, Name):
            if not known:
                return ClaimIssue.UNKNOWN_NAME if self._everything.is_name(claim) else None
            return ClaimIssue.NAME_NOT_IN_FACTS if not self._shown.keys().isdisjoint(sentence.refs) else None
        if sentence.refs:
            return ClaimIssue.NUMBER_NOT_IN_FACTS
        # A number needs a reference; a time, or anything in code, may occur anywhere in the prompt.
        accepted = known and (sentence.is_code or isinstance(claim, TimeClaim))
        return None if accepted else ClaimIssue.NUMBER_WITHOUT_REFERENCE

    def _of(self, ref: str) -> ClaimIndex:
        if ref not in self._by_ref:
            self._by_ref[ref] = ClaimIndex([self._shown[ref]])
        return self._by_ref[ref]


class ClaimIndex:
    """An index of the numbers, times and names in some texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._units: defaultdict[Decimal, set[str]] = defaultdict(set)
        self._durations: set[Decimal] = set()
        self._labelled: set[tuple[str, Decimal]] = set()
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
                self._durations.add(claim.milliseconds)
        elif isinstance(claim, TimeClaim):
            self._add_time(claim)
        else:
            self._add_name(claim)

    def _add_time(self, time: TimeClaim) -> None:
        for year in {time.year, None}:
            self._days.add((year, time.day))
            for clock in {time.clock, time.clock[:2]}:
                self._dated.add((year, time.day, clock))
                self._clocks.add(clock)

    def _add_name(self, name: Name) -> None:
        self._names |= {_normalized(word) for word in (name.casefolded, *name.parts)}
        if len(name.parts) > 1:
            self._pair_parts |= set(name.parts)
        pieces = _SEPARATOR.split(name.casefolded)
        self._names |= {piece for piece in pieces if piece and not piece.isalpha()}
        for label, piece in zip(["version", *pieces], [*pieces, ""], strict=True):
            self._add_number(label, piece)
        for part in name.parts:
            self._add_number("version", part)

    def _add_number(self, label: str, piece: str) -> None:
        """Index `gpt 4` for `gpt-4` and `version 2.4` for `v2.4`."""
        number = _NUMBER_IN_NAME.fullmatch(piece)
        if number:
            value = Decimal(number.group(1))
            self._labelled.add((label, value))
            if value >= _MIN_CODE:
                self._units[value].add("")

    def is_name(self, claim: Name) -> bool:
        """Return True if the word is a name: `claude/gcp` is if `claude/aws` is known, `and/or` never."""
        return not claim.is_pair_of_words or not self._pair_parts.isdisjoint(claim.parts)

    def contains(self, claim: Claim) -> bool:
        """Return True if a text states the same."""
        if isinstance(claim, Quantity):
            return self._contains_quantity(claim)
        if isinstance(claim, TimeClaim):
            return self._contains_time(claim)
        return _normalized(claim.casefolded) in self._names

    def _contains_quantity(self, claim: Quantity) -> bool:
        """Compare the number, and the unit if both have one; durations also in other units."""
        if (claim.label, claim.value) in self._labelled:
            return True
        units = self._units.get(claim.value, set())
        if claim.unit in units or (units and not claim.unit):
            return True
        if "" in units and claim.unit not in _SAME_UNIT_ONLY:
            return True
        return any(claim.is_rounded(duration) for duration in self._durations)

    def _contains_time(self, claim: TimeClaim) -> bool:
        """Compare the written parts of date and time; an undated time of day matches any date."""
        if not claim.clock:
            return (claim.year, claim.day) in self._days
        if claim.day is None:
            return claim.clock in self._clocks
        dated = (claim.year, claim.day, claim.clock) in self._dated
        return dated or ((claim.year, claim.day) in self._days and (None, None, claim.clock) in self._dated)


def _normalized(name: str) -> str:
    """Remove hyphens and underscores and the v of a version, which answers often omit."""
    bare = name.replace("-", "").replace("_", "")
    return bare[1:] if bare[:1] == "v" and bare[1:2].isdigit() else bare
