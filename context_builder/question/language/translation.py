"""Finds the language of a question, and puts the words that readers look for into English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from context_builder.question.language.atom import ONLY_IN_A_PHRASE, Atom, Piece
from context_builder.question.language.grammar import arrange, joined, left_over
from context_builder.question.language.lexicon import (
    ENGLISH_EVIDENCE,
    HINTS,
    LEXICONS,
    SHARED_WITH_ENGLISH,
    Lexicon,
    without_accents,
)
from context_builder.question.language.rules import RULES
from context_builder.question.language.words import atoms_of

ENGLISH = "en"

_WORD = re.compile(r"(?<![\w/@#])(?<!\w[-.:+])[^\W\d_]{2,}(?![\w/@#])(?![-.:+]\w)")
"""A word that is no part of a name."""
_KANA = re.compile(r"[\u3041-\u30ff]")
_HAN_OR_KANA = re.compile(r"[\u3041-\u30ff\u3400-\u9fff]")
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in English words as far as they are known."""

    language: str
    english: str
    places: tuple[Place, ...]
    """For each character of `english`, the start and end of the part of the text that it stands for."""
    left: tuple[Place, ...] = ()
    """Parts of the text that have to do with time, exclusion or comparison, and belong to no known phrase."""


def translate(text: str) -> Translation:
    """Return a folded text with the words of its language that the readers look for in English.

    An English text, and one of a language without a lexicon, comes back as it is.
    """
    known = _lexicon_of(text)
    if known is None:
        return Translation(ENGLISH, text, tuple((at, at + 1) for at in range(len(text))))
    atoms = arrange(atoms_of(text, known), RULES)
    placed = list(_characters(joined(_as_asked(atom, text) for atom in atoms)))
    english = "".join(character for character, _ in placed)
    left = tuple((atom.start, atom.end) for atom in left_over(atoms))
    return Translation(known.language, english, tuple(place for _, place in placed), left)


def _lexicon_of(text: str) -> Lexicon | None:
    """Return the lexicon of the language that a text has most words of, if more than English ones."""
    words = {word.lower() for word in _WORD.findall(text)}
    if _HAN_OR_KANA.search(text):
        # One character is as much as one word, and a text of unknown ones is of this script all the same.
        known, characters = _unspaced_lexicon(text)
        return known if max(characters, 1) >= len(words & ENGLISH_EVIDENCE) else None
    scores = []
    for at, known in enumerate(LEXICONS):
        exact = words & known.vocabulary
        theirs = exact | {word for word in words if without_accents(word) in known.plain_vocabulary}
        foreign = len(theirs - ENGLISH_EVIDENCE - SHARED_WITH_ENGLISH - HINTS) + len(theirs & HINTS) // 2
        scores.append((foreign - len(words & ENGLISH_EVIDENCE - theirs), len(exact), -at))
    most, _, minus_at = max(scores)
    return LEXICONS[-minus_at] if most > 0 else None


def _unspaced_lexicon(text: str) -> tuple[Lexicon, int]:
    """Return the lexicon that knows most of a text without spaces, and how many characters it knows.

    A text with kana is Japanese.
    """
    japanese, chinese = (known for known in LEXICONS if not known.is_spaced)
    candidates = (japanese,) if _KANA.search(text) else (chinese, japanese)
    found = [(known, _known_characters(text, known)) for known in candidates]
    return max(found, key=lambda each: each[1])


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
