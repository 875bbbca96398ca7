"""Splits a Markdown answer into sentences with their cited references. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_REF = r"[A-Z]{1,3}\d{1,6}+"
_JOINED = r"(?:[,;&/–—-]|to\b|and\b)"
# Possessive throughout, since an answer can be crafted to look like one endless reference.
_BRACKET = re.compile(rf"\[\s*+({_REF}(?:\s*+{_JOINED}\s*+(?:{_REF}|\d{{1,6}}+))*+)\s*+\]")
_RANGE = re.compile(r"([A-Z]{1,3})(\d{1,6})(?:\s*(?:-|–|—|to\b)\s*(?:\1)?(\d{1,6}))?")
_MAX_RANGE = 50

_FENCE = re.compile(r"\s*(```|~~~)[`~]*\s*[\w+.#-]*\s*$")
_RULE = re.compile(r"[\s|:=*_-]*")
_MARK = re.compile(r"\s*(?:(?P<item>(?:[-*+•]|\d{1,3}[.)])\s)|(?P<heading>\#+\s)|>)\s*")
_HARD_BREAK = re.compile(r"(?:\s\s|\\)$")

_STOP = r"(?<![.!?…。！？])[.!?…。！？]++[*_`\"'”’»)」』）]*+"
_REF_AFTER_STOP = re.compile(rf"({_STOP})((?:\s*+{_BRACKET.pattern})++)(?!\()")
_END = re.compile(rf"{_STOP}(?:\s++|(?<=[。！？])|(?<=[。！？][」』）]))")
_LAST_WORD = re.compile(r"[\w.]{1,10}$")
_ABBREVIATIONS = frozenset({"e.g", "i.e", "vs", "approx", "cf", "resp", "incl", "ca", "est"})
_USUAL_ABBREVIATIONS = re.compile(r"etc|no|max|min|avg|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec")
"""Words that end a sentence only before a capital letter."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, list item, table row or line of code."""

    text: str
    claim: str
    """The text without its references."""
    refs: tuple[str, ...]
    is_code: bool = False


class _Kind(Enum):
    PROSE = auto()
    ITEM = auto()
    """A list item or table row makes one statement: a single reference covers all of it."""
    CODE = auto()


@dataclass(frozen=True, slots=True)
class _Block:
    """A line, or the lines of one paragraph or item."""

    text: str
    kind: _Kind = _Kind.PROSE
    begins: bool = True
    ends: bool = True


def split_sentences(answer: str) -> Iterator[Sentence]:
    """Yield the sentences of an answer in order."""
    for block in _blocks(answer):
        if not block.text:
            continue
        if block.kind is _Kind.CODE or (block.kind is _Kind.ITEM and len(_BRACKET.findall(block.text)) <= 1):
            yield _sentence(block.text, is_code=block.kind is _Kind.CODE)
        elif block.kind is _Kind.ITEM:
            yield from _covered(_split(block.text))
        else:
            yield from _split(block.text)


def parse_references(text: str) -> tuple[str, ...]:
    """Return the cited references in order; ranges such as [H1-H3] or [H1-3] are expanded."""
    found: list[str] = []
    for bracket in _BRACKET.finditer(text):
        for prefix, first, last in _RANGE.findall(bracket.group(1)):
            numbers = range(int(first), int(last or first) + 1)
            if 0 < len(numbers) <= _MAX_RANGE:
                found += [f"{prefix}{number}" for number in numbers]
            else:
                found += [f"{prefix}{first}", f"{prefix}{last}"]
    return tuple(dict.fromkeys(found))


def _sentence(text: str, *, is_code: bool = False) -> Sentence:
    return Sentence(text, _BRACKET.sub(" ", text), parse_references(text), is_code)


def _blocks(answer: str) -> Iterator[_Block]:
    """Yield paragraphs, items, table rows and lines of code."""
    parts: list[_Block] = []
    for line in _lines(answer):
        if parts and line.begins:
            yield _joined(parts)
            parts = []
        parts.append(line)
        if line.ends:
            yield _joined(parts)
            parts = []
    if parts:
        yield _joined(parts)


def _joined(parts: list[_Block]) -> _Block:
    return _Block(" ".join(part.text for part in parts if part.text), parts[0].kind)


def _lines(answer: str) -> Iterator[_Block]:
    fence: str | None = None
    for line in answer.splitlines():
        mark = _FENCE.match(line)
        if mark and fence in (None, mark.group(1)):
            fence = mark.group(1) if fence is None else None
            yield _Block("")
        elif fence is not None:
            yield _Block(line.strip(), _Kind.CODE)
        else:
            yield _line(line)


def _line(line: str) -> _Block:
    """Strip list, heading and quote marks from a line of Markdown."""
    if _RULE.fullmatch(line):
        return _Block("")
    marks: set[str | None] = set()
    start = 0
    while mark := _MARK.match(line, start):
        marks.add(mark.lastgroup)
        start = mark.end()
    text = line[start:].strip()
    is_row = text.startswith("|")
    return _Block(
        text,
        kind=_Kind.ITEM if is_row or "item" in marks else _Kind.PROSE,
        begins=is_row or bool(marks),
        ends=is_row or "heading" in marks or _HARD_BREAK.search(line) is not None,
    )


def _split(text: str) -> Iterator[Sentence]:
    # "... is down. [H1] Next ..." cites H1 for the preceding sentence.
    moved = _REF_AFTER_STOP.sub(lambda match: f"{match.group(2)}{match.group(1)} ", text)
    return (_sentence(part) for part in _parts(moved))


def _covered(found: Iterator[Sentence]) -> Iterator[Sentence]:
    """Extend each reference in an item to the preceding sentences without one."""
    covered: list[Sentence] = []
    covering: tuple[str, ...] = ()
    for sentence in reversed(list(found)):
        covering = sentence.refs or covering
        covered.append(Sentence(sentence.text, sentence.claim, covering))
    yield from reversed(covered)


def _parts(text: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(text):
        before = _LAST_WORD.search(text[max(0, end.start() - 10) : end.start()])
        word = before.group().casefold() if before else ""
        is_capital = text[end.end() : end.end() + 1].isupper()
        if word not in _ABBREVIATIONS and (is_capital or not _USUAL_ABBREVIATIONS.fullmatch(word)):
            yield text[start : end.end()].strip()
            start = end.end()
    if text[start:].strip():
        yield text[start:].strip()
