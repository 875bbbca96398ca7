"""A question's text as its readers see it: in English words, each with its place in what was asked. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from context_builder.question.language.spelling import assumed, edits
from context_builder.question.language.translation import ENGLISH, translate
from context_builder.question.mention import TextSpan

_HYPHENS = {"\u2010": "-", "\u2011": "-", "\u2212": "-"}
"""Hyphens that editors put into names."""


@dataclass(frozen=True, slots=True)
class QuestionText:
    """A question as asked, and the same with words of time, exclusion, comparison and topic in English."""

    asked: str
    english: str
    """Compatibility forms folded (NFKC), white space single; names are as asked."""
    places: tuple[TextSpan, ...]
    """For each character of `english`, the part of `asked` that it stands for."""
    language: str = ENGLISH
    left: tuple[TextSpan, ...] = ()
    """Parts of `asked` about time, exclusion or comparison that belong to no phrase known in its language."""
    notes: tuple[str, ...] = ()
    """How words were understood that may be meant in another way."""

    def as_asked(self, span: TextSpan) -> str:
        """Return the words of `asked` that a part of `english` stands for."""
        covered = self.places[span.start : span.end]
        if not covered:
            return ""
        return self.asked[min(p.start for p in covered) : max(p.end for p in covered)].strip()

    def in_english(self, part: TextSpan) -> TextSpan | None:
        """Return where in `english` a part of `asked` stands."""
        at = [n for n, p in enumerate(self.places) if p.start < part.end and part.start < p.end]
        return TextSpan(at[0], at[-1] + 1) if at else None


def read_text(question: str) -> QuestionText:
    """Return the text that the readers of names and times read."""
    characters: list[str] = []
    folded: list[TextSpan] = []
    for span in _clusters(question):
        for character in unicodedata.normalize("NFKC", question[span.start : span.end]):
            plain = " " if character.isspace() else _HYPHENS.get(character, character)
            if plain == " " and (not characters or characters[-1] == " "):
                continue
            characters.append(plain)
            folded.append(span)
    translation = translate("".join(characters))
    places = tuple(
        TextSpan(folded[start].start, folded[end - 1].end if end > start else folded[start].start)
        for start, end in translation.places
    )
    left = tuple(TextSpan(folded[start].start, folded[end - 1].end) for start, end in translation.left)
    return _written_out(QuestionText(question, translation.english, places, translation.language, left))


def _written_out(text: QuestionText) -> QuestionText:
    """Return a text with abbreviations written out and slips of the hand put right."""
    english, places, done = "", list[TextSpan](), 0
    for start, end, full in edits(text.english, is_english=text.language == ENGLISH):
        place = TextSpan(text.places[start].start, text.places[end - 1].end)
        english += text.english[done:start] + full
        places += [*text.places[done:start], *[place] * len(full)]
        done = end
    slips = (
        (text.as_asked(TextSpan(start, end)), meant)
        for start, end, meant in assumed(text.english, is_english=text.language == ENGLISH)
    )
    return replace(
        text,
        english=english + text.english[done:],
        places=(*places, *text.places[done:]),
        notes=tuple(f"“{asked}” is read as {meant}" for asked, meant in slips),
    )


def _clusters(text: str) -> Iterator[TextSpan]:
    """Yield each character together with the marks that combine with it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.combining(unicodedata.normalize("NFKC", text[at])[0]):
            yield TextSpan(start, at)
            start = at
