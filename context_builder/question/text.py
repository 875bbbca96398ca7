"""A question's text as its readers see it: in English words, each with its place in what was asked. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from context_builder.question.mention import TextSpan


@dataclass(frozen=True, slots=True)
class QuestionText:
    """A question as asked, and the same with words of time, exclusion, comparison and topic in English."""

    asked: str
    english: str
    """Compatibility forms folded (NFKC), white space single; names are as asked."""
    places: tuple[TextSpan, ...]
    """For each character of `english`, the part of `asked` that it stands for."""
    language: str = "en"

    def as_asked(self, span: TextSpan) -> str:
        """Return the words of `asked` that a part of `english` stands for."""
        covered = self.places[span.start : span.end]
        if not covered:
            return ""
        return self.asked[min(p.start for p in covered) : max(p.end for p in covered)].strip()


def read_text(question: str) -> QuestionText:
    """Return the text that the readers of names and times read."""
    characters: list[str] = []
    places: list[TextSpan] = []
    for position, character in enumerate(question):
        for folded in unicodedata.normalize("NFKC", character):
            plain = " " if folded.isspace() else folded
            if plain == " " and (not characters or characters[-1] == " "):
                continue
            characters.append(plain)
            places.append(TextSpan(position, position + 1))
    return QuestionText(question, "".join(characters), tuple(places))
