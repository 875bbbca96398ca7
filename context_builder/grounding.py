"""Checks an answer against the facts it was given: references, numbers and names. Pure.

A sentence is supported when every reference in it was in the prompt, every number in it occurs in the
facts it cites, and every name with a digit in it occurs somewhere in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from context_builder.answer import Citation, Doubt, Unsupported

_BRACKET = re.compile(r"\[((?:\s*[A-Z]{1,3}\d+\s*(?:[,;]|-(?=\s*[A-Z])|–|to|and)?)+)\]")
_REF = re.compile(r"([A-Z]{1,3})(\d+)")
_RANGE = re.compile(r"([A-Z]{1,3})(\d+)\s*(?:-|–|to)\s*\1(\d+)")
_MAX_RANGE = 50

_LATE_REFERENCE = re.compile(rf"([.!?])((?:\s*{_BRACKET.pattern})+)")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?<!approx\.)(?<!etc\.)\s+")
_LIST_MARK = re.compile(r"^\s*(?:[-*+]|\d{1,2}[.)]|#+|>)\s+")
_TABLE_RULE = re.compile(r"^[\s|:-]+$")

_TIME = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?|\d{1,2}:\d{2}(?::\d{2})?"
_NAME = r"(?=[\w./:@-]*[A-Za-z_])(?=[\w./:@-]*\d)[A-Za-z_][\w./:@-]*\w|\d+[A-Za-z]+[-_/][\w./-]+"
_NUMBER = r"\d{1,3}(?:[,  ]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_UNIT = r"\s?(?:%|percent\b|ms\b|seconds?\b|secs?\b|s\b|minutes?\b|min\b|m\b|hours?\b|h\b|x\b|×)?"
_TOKEN = re.compile(rf"(?P<time>{_TIME})|(?P<name>{_NAME})|(?P<number>{_NUMBER})(?P<unit>{_UNIT})")

_MEASURE = re.compile(r"p\d{2}(?:\.\d+)?|[45]xx", re.IGNORECASE)
"""Words of the trade that name nothing in particular."""

_MILLISECONDS = {"ms": 1, "s": 1000, "sec": 1000, "second": 1000}


@dataclass(frozen=True, slots=True)
class Grounding:
    """What of an answer the facts carry."""

    citations: tuple[Citation, ...]
    unsupported: tuple[Unsupported, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written, with its unit where it has one."""

    written: str
    value: Decimal
    unit: str

    @property
    def decimals(self) -> int:
        """Digits after the point."""
        return len(self.written.partition(".")[2])


def ground(answer: str, shown: Mapping[str, str], sources: Mapping[str, str], question: str) -> Grounding:
    """Checks every sentence of an answer.

    `shown` gives the text and `sources` the source of each reference in the prompt. Numbers that the
    question itself states may be repeated.
    """
    cited: dict[str, Citation] = {}
    unsupported: list[Unsupported] = []
    everything = Evidence([*shown.values(), question])
    for sentence in sentences(answer):
        refs = references(sentence)
        for ref in refs:
            if ref in shown:
                cited.setdefault(ref, Citation(ref, sources[ref], shown[ref]))
            else:
                unsupported.append(Unsupported(sentence, Doubt.UNKNOWN_REFERENCE, ref))
        evidence = Evidence([*(shown[ref] for ref in refs if ref in shown), question])
        unsupported += _unsupported(sentence, evidence, everything, cites=bool(refs))
    return Grounding(tuple(cited.values()), tuple(dict.fromkeys(unsupported)))


def _unsupported(
    sentence: str, evidence: Evidence, everything: Evidence, *, cites: bool
) -> Iterator[Unsupported]:
    claim = _BRACKET.sub(" ", sentence)
    for match in _TOKEN.finditer(claim):
        written = match.group().strip()
        if match.lastgroup == "name":
            if not _MEASURE.fullmatch(written) and not everything.holds_name(written):
                yield Unsupported(sentence, Doubt.UNKNOWN_NAME, written)
        elif match.group("time"):
            if not (evidence if cites else everything).holds_time(written):
                doubt = Doubt.NUMBER_NOT_IN_FACTS if cites else Doubt.NUMBER_WITHOUT_REFERENCE
                yield Unsupported(sentence, doubt, written)
        elif not evidence.holds_number(_quantity(match)):
            doubt = Doubt.NUMBER_NOT_IN_FACTS if cites else Doubt.NUMBER_WITHOUT_REFERENCE
            yield Unsupported(sentence, doubt, written)


class Evidence:
    """The numbers, times and names that some facts hold."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._text = " ".join(texts)
        self._folded = self._text.casefold()
        tokens = list(_TOKEN.finditer(self._text))
        self._quantities = [_quantity(token) for token in tokens if token.group("number")]
        # The number of a name may be spoken of alone: `version 2.4`, `the 70B model`.
        names = " ".join(token.group() for token in tokens if token.group("name"))
        self._in_names = set(re.findall(r"\d+(?:\.\d+)*", names))

    def holds_name(self, name: str) -> bool:
        """Whether the name occurs, in any case."""
        return name.casefold().rstrip(".:/-") in self._folded

    def holds_time(self, written: str) -> bool:
        """Whether the time occurs, also without its date or seconds."""
        return written.replace("T", " ").rstrip("Z") in self._text.replace("T", " ")

    def holds_number(self, claimed: Quantity) -> bool:
        """Whether some fact has this number, as it is or in seconds for milliseconds."""
        return claimed.written in self._in_names or any(_same(claimed, known) for known in self._quantities)


def _same(claimed: Quantity, known: Quantity) -> bool:
    if (claimed.unit == "%") != (known.unit == "%"):
        return False
    if claimed.value == known.value:
        return True
    if claimed.unit not in _MILLISECONDS or known.unit not in _MILLISECONDS:
        return False
    converted = known.value * _MILLISECONDS[known.unit] / _MILLISECONDS[claimed.unit]
    return round(converted, claimed.decimals) == claimed.value


def _quantity(match: re.Match[str]) -> Quantity:
    written = match.group("number")
    value = Decimal(re.sub(r"[,  ]", "", written))
    unit = (match.group("unit") or "").strip().casefold().replace("percent", "%")
    return Quantity(written, value, unit if unit in ("s", "ms") else unit.removesuffix("s"))


def references(text: str) -> list[str]:
    """The references that a text cites, in order, ranges such as [H1-H3] written out."""
    found: list[str] = []
    for bracket in _BRACKET.finditer(text):
        inner = bracket.group(1)
        for prefix, first, last in _RANGE.findall(inner):
            numbers = range(int(first), min(int(last), int(first) + _MAX_RANGE) + 1)
            found += [f"{prefix}{number}" for number in numbers]
        found += [prefix + number for prefix, number in _REF.findall(inner)]
    return list(dict.fromkeys(found))


def sentences(answer: str) -> Iterator[str]:
    """The sentences, list items and table rows of a Markdown text, references with the one they follow."""
    fenced = False
    for line in answer.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        text = _LIST_MARK.sub("", line).strip()
        if not text or _TABLE_RULE.fullmatch(text):
            continue
        if fenced or text.startswith("|"):
            yield text
        else:
            # "... is down. [H1] Next ..." cites H1 for what stands before it.
            yield from _SENTENCE_END.split(_LATE_REFERENCE.sub(r"\2\1", text))
