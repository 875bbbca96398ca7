"""Keyword relevance: the share of the question's words that a fact contains; rare words count more. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from context_builder.question.request import ContextRequest
from context_builder.text.sanitize import MAX_CHARACTERS

MAX_WORDS = 24
"""Words of a question that are searched for."""
_MIN_WORD = 3
_MIN_STEM = 4
_ENDINGS = ("ing", "ed", "es", "s")
_WORD = re.compile(r"\w+(?:[-./:_]\w+)*")
_STOP_WORDS = frozenset(
    _WORD.findall(
        "about after all and any are because been before being between but can could did does doing "
        "during each ever every for from get give had has have having her here him his how into its "
        "just last let list many may more most much must not now off one only other our out over per "
        "please same say shall she should show since some still such tell than that the their them then "
        "there these they this those through today too under until very was week were what when where "
        "whether which while who whom whose why will with would yesterday yet you your day days hour "
        "hours minute minutes month past present deployment model tier user"
    )
)
"""Words that occur in questions and facts of any kind."""


@dataclass(frozen=True, slots=True)
class _Word:
    stem: str
    pattern: re.Pattern[str]


def folded(text: str) -> str:
    """Return a text as it is searched for words."""
    return text[:MAX_CHARACTERS].casefold()


def keyword_relevance(request: ContextRequest, texts: Sequence[str]) -> list[float]:
    """Return for each folded text, from 0 to 1, its weighted share of the question's words found in any text.

    A single found word must be rare to count in full.
    """
    words = _content_words(request)
    if not words:
        return [0.0] * len(texts)
    found = [_found(words, text) for text in texts]
    frequency = Counter(word for numbers in found for word in numbers)
    weight = {word: math.log((1 + len(texts)) / count) for word, count in frequency.items()}
    total = max(math.log(1 + len(texts)), sum(weight[word] for word in sorted(weight)))
    return [sum(weight[word] for word in numbers) / total if numbers else 0.0 for numbers in found]


def _found(words: Sequence[_Word], text: str) -> tuple[int, ...]:
    # Searching for the plain letters first is ten times faster.
    possible = [number for number, word in enumerate(words) if word.stem in text]
    return tuple([number for number in possible if words[number].pattern.search(text)]) if possible else ()


def _content_words(request: ContextRequest) -> list[_Word]:
    """Return the distinct words of the question and of the names in its scope, in order of appearance."""
    asked = " ".join([request.question, *request.scope.labels]).casefold()
    words = (word for word in _WORD.findall(asked) if len(word) >= _MIN_WORD and not _is_stop_word(word))
    return [_word(word) for word in list(dict.fromkeys(words))[:MAX_WORDS]]


def _is_stop_word(word: str) -> bool:
    return word in _STOP_WORDS or word.removesuffix("s") in _STOP_WORDS


def _word(word: str) -> _Word:
    """Match a word in any of its forms; a name, which contains digits or punctuation, only exactly."""
    if not word.isalpha():
        return _Word(word, re.compile(rf"(?<!\w){re.escape(word)}(?!\w)"))
    endings = (ending for ending in _ENDINGS if word.endswith(ending))
    stem = next((cut for e in endings if len(cut := word.removesuffix(e)) >= _MIN_STEM), word)
    return _Word(stem, re.compile(rf"(?<!\w){re.escape(stem)}\w{{0,3}}(?!\w)"))
