"""Splits text into words with their places, and normalizes the spelling of names. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from context_builder.question.mention import TextSpan
from models import Tier

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that put no space between a name and the next word."""
_WORD = re.compile(
    rf"(?P<negation>\b(?i:non|not)-)?(?P<name>[{_UNSPACED}]+|[^\W_{_UNSPACED}](?:[^\W{_UNSPACED}]|[.:/@+#-])*)"
)
"""Not without regard to case as a whole: to compile long ranges so takes as long as all other patterns."""
_ADDITION = re.compile(r"-(?:only|based|hosted|served)$|[.:/@+#-]+$", re.IGNORECASE)
"""What may follow a name without being part of it."""
_VERSIONS = re.compile(r"\d+(?:\.\d+|b)(?:/\d+(?:\.\d+|b))+", re.IGNORECASE)
"""Versions or sizes of one model: `3.5/3.7`."""
_ALIASES = {
    "kubernetes": "k8s", "amazon": "aws", "google": "gcp", "microsoft": "azure", "premises": "prem",
}  # fmt: skip


def word_set(text: str) -> frozenset[str]:
    """Return the words of a list that is written as text."""
    return frozenset(text.split())


ORDINARY_WORDS = word_set(
    """
    a after all an and any are as at be been before but by can compare cost did do does down each else
    every fail fast few for from good had has have he high how i if in is it its last least less load
    long low main many may me more most much my new next no non normal not now of off ok old on one only
    or other our out over own rate same see she since slow so some such than that the their them then
    there these they this to today top two under unknown until up us use very versus vs want was we week
    were what when where which while who whose why will with within without worst yesterday yet you your
    ai api audio backend backends base batch chat cloud code command data default deployment deployments
    dev direct edge embed error errors experimental gateway general health image incident incidents
    internal large latency local medium mini model models none prod provider public quality region
    regions request requests router server service small stable staging standby team teams tenant test
    text tier tiers together traffic user users version vision web
    """
) | frozenset(Tier)
"""Words that are taken literally, even if something has such a name."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word with inner punctuation, and its place in the text."""

    text: str
    span: TextSpan
    """Holds the negation too."""
    is_negated: bool = False
    """True after `non-`, which is not part of `text`."""

    @property
    def folded(self) -> str:
        """The word in lower case."""
        return self.text.casefold()


def words_in(text: str) -> Iterator[Word]:
    """Yield the words of a text, with punctuation inside names but not at their end."""
    for match in _WORD.finditer(text):
        name = match["name"]
        while (shorter := _ADDITION.sub("", name)) != name:
            name = shorter
        if _VERSIONS.fullmatch(name):
            start = match.start("name")
            for part in re.finditer(r"[^/]+", name):
                yield Word(part.group(), TextSpan(start + part.start(), start + part.end()))
        elif name:
            span = TextSpan(match.start(), match.start("name") + len(name))
            yield Word(name, span, is_negated=match["negation"] is not None)


def normalize_name(name: str) -> str:
    """Return a name without case, punctuation and aliases: `GPT 4` and `gpt-4` are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(plain_word(piece) for piece in re.split(r"[\W_]+", folded))


def plain_word(word: str) -> str:
    """Return the usual word for a lower-case one: `k8s` for `kubernetes`."""
    return _ALIASES.get(word, word)


def is_distinctive(name: str) -> bool:
    """Return whether a normalized name is too unlike ordinary words and numbers to occur by chance."""
    return len(name) > 1 and not name.isdecimal() and name not in ORDINARY_WORDS


def characters(spans: Iterable[TextSpan]) -> set[int]:
    """Return the positions that places cover."""
    return {position for span in spans for position in range(span.start, span.end)}
