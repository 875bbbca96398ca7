"""The words of one language, each with its role and its English; found longest first."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from context_builder.question.language.atom import Kind
from context_builder.question.language.calendar_words import calendar_words, is_spaced

_FOLDER = Path(__file__).with_name("lexicons")
_WORD = re.compile(r"[^\W\d_]{2,}")
_CHOICE = re.compile(r"\(([^()]*)\)")
_NO_EVIDENCE = frozenset({Kind.NUMBER, Kind.WEEKDAY_SHORT, Kind.MONTH_SHORT, Kind.UNIT_SHORT, Kind.ORDINAL})
"""Roles whose words are too short or too common to tell a language."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a phrase of a lexicon is."""

    kind: Kind
    english: str


@dataclass(frozen=True, slots=True)
class FoldedText:
    """A text and its spellings for comparison, all of the same length."""

    asked: str
    folded: str
    plain: str
    """Without accents too."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The phrases of one language by their folded spelling."""

    language: str
    is_spaced: bool
    meanings: dict[str, Meaning]
    """By spelling in lower case; without accents too where that is no other word."""
    lengths: dict[str, tuple[int, ...]]
    """Lengths of the phrases that begin with a character, longest first; without accents."""
    vocabulary: frozenset[str]
    """Single words by which the language is recognized, with their accents."""
    plain_vocabulary: frozenset[str]
    """The same without accents."""
    variants: dict[int, str]
    """Characters to read as others: traditional Chinese as simplified."""

    def fold(self, text: str) -> FoldedText:
        """Return a text in lower case, with each character in its usual variant."""
        folded = _folded(text).translate(self.variants)
        return FoldedText(text, folded, without_accents(folded) if self.is_spaced else folded)

    def meaning(self, spelling: str, plain: str) -> Meaning | None:
        """Return what a folded phrase means; accents may be missing or wrong, as in the plain spelling."""
        return self.meanings.get(spelling) or self.meanings.get(plain)

    def longest(self, text: FoldedText, start: int, ends: Container[int]) -> tuple[int, Meaning] | None:
        """Return the end and the meaning of the longest phrase at a position that ends at one of `ends`."""
        for length in self.lengths.get(text.plain[start], ()):
            end = start + length
            if end in ends and (meaning := self.meaning(text.folded[start:end], text.plain[start:end])):
                return end, meaning
        return None


def _load(language: str) -> Lexicon:
    written = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    variants = str.maketrans(*written.pop("variants", ("", "")))
    spaced = is_spaced(language)
    exact: dict[str, Meaning] = {}
    meaning = cache(Meaning)
    for phrase, kind, english in (*calendar_words(language), *_entries(written)):
        exact[_folded(phrase).translate(variants)] = meaning(kind, english)
    plain = {without_accents(phrase): meaning for phrase, meaning in exact.items()} if spaced else {}
    lengths: defaultdict[str, set[int]] = defaultdict(set)
    for phrase in exact:
        lengths[without_accents(phrase[0]) if spaced else phrase[0]].add(len(phrase))
    evidence = (phrase for phrase, meaning in exact.items() if meaning.kind not in _NO_EVIDENCE)
    vocabulary = frozenset(word for phrase in evidence for word in _WORD.findall(phrase))
    return Lexicon(
        language=language,
        is_spaced=spaced,
        meanings=plain | exact,
        lengths={first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()},
        vocabulary=vocabulary,
        plain_vocabulary=frozenset(map(without_accents, vocabulary)),
        variants=variants,
    )


def _entries(written: dict[str, dict[str, list[str]]]) -> Iterator[tuple[str, Kind, str]]:
    for name, table in written.items():
        kind = Kind(name)
        for english, patterns in table.items():
            for pattern in patterns:
                yield from ((phrase, kind, english) for phrase in _spellings(pattern))


def _spellings(pattern: str) -> Iterator[str]:
    """Yield the phrases of a pattern with choices: `letzte(n|r|)` is three."""
    if "(" not in pattern:
        yield pattern
        return
    parts = [part.split("|") if at % 2 else [part] for at, part in enumerate(_CHOICE.split(pattern))]
    yield from ("".join(chosen) for chosen in product(*parts))


def without_accents(text: str) -> str:
    """Return a text of the same length with Latin letters without accents."""
    if text.isascii():
        return text
    decomposed = (unicodedata.normalize("NFD", character)[0] for character in text)
    return "".join(base if base.isascii() else asked for base, asked in zip(decomposed, text, strict=True))


def _folded(text: str) -> str:
    """Return a text of the same length in lower case, with one kind of apostrophe."""
    return text.lower() if text.isascii() else "".join(map(_lower, text))


def _lower(character: str) -> str:
    return "'" if character in "’‘ʼ" else character.lower()[0]


LEXICONS = tuple(_load(language) for language in ("de", "es", "fr", "pt", "ja", "zh"))
"""Loaded on import, since reading files would block an event loop."""
_english = tomllib.loads((_FOLDER / "en.toml").read_text("utf-8"))
ENGLISH_EVIDENCE = frozenset(_english["evidence"].split())
"""Words that show a text to be English."""
SHARED_WITH_ENGLISH = frozenset(_english["shared"].split())
"""Words of other languages that show nothing, since they are English too."""
HINTS = frozenset(_english["hints"].split())
"""Words of other languages that show one only in company, since names have them too: `la`, `est`."""
OFTEN_MISTYPED = tuple(_english["often_mistyped"].split())
"""English words that are recognized with one letter missing, added, wrong or in another's place."""
NOT_MISTYPED = ENGLISH_EVIDENCE | SHARED_WITH_ENGLISH | frozenset(_english["not_mistyped"].split())
"""Words that mean something else, though they may be as close to one of those."""
