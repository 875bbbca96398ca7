"""Finds the language of a question, and puts the words that readers look for into English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from context_builder.question.language.atom import ONLY_IN_A_PHRASE, Atom, Piece
from context_builder.question.language.grammar import arrange, joined
from context_builder.question.language.lexicon import LANGUAGES, Lexicon, english_words, lexicon, without_accents
from context_builder.question.language.rules import RULES
from context_builder.question.language.words import atoms_of

ENGLISH = "en"

_WORD = re.compile(r"(?<![\w/@#])(?<!\w[-.:+])[^\W\d_]{2,}(?![\w/@#])(?![-.:+]\w)")
"""A word that is no part of a name."""
_KANA = re.compile(r"[\u3041-\u30ff]")
_HAN = re.compile(r"[\u3400-\u9fff]")
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in English words as far as they are known."""

    language: str
    english: str
    places: tuple[Place, ...]
    """For each character of `english`, the start and end of the part of the text that it stands for."""


def translate(text: str) -> Translation:
    """Return a folded text with the words of its language that the readers look for in English.

    A text of another language, or an English one, comes back as it is.
    """
    language = language_of(text)
    if language == ENGLISH:
        return Translation(language, text, tuple((at, at + 1) for at in range(len(text))))
    atoms = arrange(atoms_of(text, lexicon(language)), RULES)
    characters: list[str] = []
    places: list[Place] = []
    for character, place in _characters(joined(_as_asked(atom, text) for atom in atoms)):
        characters.append(character)
        places.append(place)
    return Translation(language, "".join(characters), tuple(places))


def language_of(text: str) -> str:
    """Return the language whose words a text has most of, and more than English ones; else `en`."""
    words = set(_WORD.findall(text))
    evidence, shared = english_words()
    written_without_spaces = _unspaced_language(text)
    if written_without_spaces:
        language, hits = written_without_spaces
        english = len({word.lower() for word in words} & evidence)
        return language if hits >= english else ENGLISH
    lowered = {word.lower() for word in words}
    scores = []
    for known in map(lexicon, LANGUAGES):
        exact = lowered & known.vocabulary
        theirs = exact | {word for word in lowered if without_accents(word) in known.plain_vocabulary}
        hits, english = len(theirs - evidence - shared), len(lowered & evidence - theirs)
        scores.append((hits > english, hits - english, len(exact), known.language))
    clearly, _, _, language = max(scores)
    return language if clearly else ENGLISH


def _unspaced_language(text: str) -> tuple[str, int] | None:
    """Return the language of Japanese or Chinese characters in a text, and how many words of it are known."""
    has_kana = _KANA.search(text) is not None
    if not has_kana and not _HAN.search(text):
        return None
    candidates = ["ja"] if has_kana else ["zh", "ja"]
    hits = {language: _known_characters(text, lexicon(language)) for language in candidates}
    language = max(candidates, key=lambda each: hits[each])
    return language, max(hits[language], 1)


def _known_characters(text: str, known: Lexicon) -> int:
    """Return how many characters of a text belong to known words."""
    return sum(
        atom.end - atom.start
        for atom in atoms_of(text, known)
        if not atom.text.isdecimal() and not atom.pieces[0].is_as_asked
    )


def _as_asked(atom: Atom, text: str) -> Atom:
    if atom.kind not in ONLY_IN_A_PHRASE:
        return atom
    return replace(atom, pieces=(Piece(text[atom.start : atom.end], atom.start, atom.end, is_as_asked=True),))


def _characters(pieces: Iterator[Piece]) -> Iterator[tuple[str, Place]]:
    for piece in pieces:
        for at, character in enumerate(piece.text):
            is_one = piece.is_as_asked
            yield character, (piece.start + at, piece.start + at + 1) if is_one else (piece.start, piece.end)
