"""Finds models, backends, regions and whole deployments in a text, each on its own. Pure."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from context_builder.question.mention import TextSpan
from context_builder.question.names.catalog import Catalog, Dimension
from context_builder.question.names.model_parts import (
    FAMILY_WORDS,
    MEMBER_WORDS,
    Part,
    PartKind,
    is_anchored,
    parts_of,
    read_model,
)
from context_builder.question.names.words import (
    Word,
    is_distinctive,
    normalize_name,
    plain_word,
    word_set,
    words_in,
)

_MAX_NAME_WORDS = 6
"""As in `Claude 3.5 Sonnet (aws bedrock)`."""
_MAX_SLASHES = 20
_ANNOUNCING_WORDS = frozenset(
    {"backend", "backends", "cloud", "deployment", "deployments", "model", "models"}
)
"""Next to one of these even an ordinary word is a name: `the local backend`."""
_PROVIDERS = word_set(
    """
    anthropic aws azure bedrock gcp groq openai openrouter sagemaker vertex
    """
)
"""Usual backends; one of them that is not known is an unknown name."""
_MONTHS = "|".join(name for name in [*calendar.month_name, *calendar.month_abbr] if name not in ("", "May"))
_COUNTED = re.compile(
    r"\s?(?:%|(?:[smhdkx]|ms|[ap]\.?m|percent|times|thousand|million|billion|tokens|param\w*"
    rf"|(?:min|sec|second|minute|hour|day|week|month|year)s?|{_MONTHS})\b)",
    re.IGNORECASE,
)
"""What a number stands before that is no version."""
_VERSION_OR_SIZE = re.compile(r"\d{1,2}(?:\.\d{1,2})?|\d(?:\.\d)?o|\d+(?:\.\d+)?b|\d+x\d+b")
"""Of a model that need not be known."""
_DOUBTFUL_WORDS = frozenset({"large", "medium", "plus", "pro", "small"})
"""No part of a name before a plural or another name: `gpt-4 large requests`, `gpt-4 plus llama`."""
_ORDINARY_FAMILIES = frozenset({"falcon", "glm", "jamba", "kimi", "nova", "phi", "titan"})
"""Meant as a model only with a version or size, unless it is known."""
_LINKS = frozenset({"against", "and", "or", "than", "to", "versus", "vs"})

Phrase = list[tuple[int, frozenset[Part]]]
"""Adjacent words that may be parts of a model's name, by position, in order."""


@dataclass(frozen=True, slots=True)
class Term:
    """One name in the text, with what it may refer to."""

    span: TextSpan
    dimension: Dimension
    members: dict[int, str]
    """Ids of deployments, each with its name that was meant."""
    is_exact: bool
    """True if it is written as it is known, so that its meaning needs no explanation."""
    is_negated: bool


def read_terms(text: str, catalog: Catalog) -> tuple[list[Term], list[TextSpan]]:
    """Return the names in a text in text order, and the places that name what does not exist."""
    return _Reading(text, catalog).terms()


class _Reading:
    """One pass over a text; each step leaves to the next the words it could not use."""

    def __init__(self, text: str, catalog: Catalog) -> None:
        self._text, self._catalog = text, catalog
        self._words: Sequence[Word] = tuple(words_in(text))
        self._normalized = [normalize_name(word.text) for word in self._words]
        self._free = ["://" not in word.text for word in self._words]
        self._terms: list[Term] = []
        self._unmatched: list[TextSpan] = []

    def terms(self) -> tuple[list[Term], list[TextSpan]]:
        self._take_spelled(Dimension.WHOLE)
        for run, found in self._catalog.places.find(self._words, self._text):
            if all(self._free[n] for n in run):
                self._take(run, Dimension.REGION, found)
        self._take_models()
        self._take_spelled(Dimension.MODEL)
        self._take_spelled(Dimension.BACKEND)
        for n, word in enumerate(self._words):
            backends = self._catalog.backends_with_head(word.folded)
            if self._free[n] and (backends or plain_word(word.folded) in _PROVIDERS):
                self._take(range(n, n + 1), Dimension.BACKEND, backends)
        return sorted(self._terms, key=lambda term: term.span), self._unmatched

    def _take(self, run: range, dimension: Dimension, names: Iterable[str]) -> None:
        """Use the words of a run for a name; without names, it is one of something that does not exist."""
        for n in run:
            self._free[n] = False
        span = TextSpan(self._words[run[0]].span.start, self._words[run[-1]].span.end)
        members = self._catalog.members(dimension, names)
        is_exact = {normalize_name(name) for name in names} == {self._name(run)}
        if members:
            negated = self._words[run[0]].is_negated
            self._terms.append(Term(span, dimension, members, is_exact, negated))
        else:
            self._unmatched.append(span)

    def _name(self, run: range) -> str:
        return "".join(self._normalized[run.start : run.stop])

    def _is_announced(self, run: range) -> bool:
        neighbours = [*self._words[max(0, run.start - 1) : run.start], *self._words[run.stop :][:1]]
        return any(word.folded in _ANNOUNCING_WORDS for word in neighbours)

    def _take_spelled(self, dimension: Dimension) -> None:
        """Take names written as they are known, but for punctuation; the longest first."""
        for length in range(min(_MAX_NAME_WORDS, len(self._words)), 0, -1):
            for start in range(len(self._words) - length + 1):
                run = range(start, start + length)
                name = self._name(run)
                names = self._catalog.spelled(dimension, name)
                if not names or not all(self._free[n] for n in run):
                    continue
                if dimension is Dimension.WHOLE:
                    is_name = "/" in self._words[start].text or is_distinctive(name)
                else:
                    is_name = is_distinctive(name) or self._is_announced(run)
                if is_name:
                    self._take(run, dimension, names)

    def _take_models(self) -> None:
        """Take models said in parts: `Claude 3.5 Sonnet`, `the 70b`."""
        phrase: Phrase = []
        last: Phrase = []
        for n, word in enumerate(self._words):
            if "/" in word.text and self._free[n]:
                self._take_path(n)
            parts = self._parts(n, is_inside=bool(phrase)) if self._free[n] else frozenset()
            if phrase and not (parts and self._is_adjacent(n)):
                self._take_phrase(phrase)
                phrase, last = [], phrase
            if parts and not phrase and self._is_continued(last, n, parts):
                words = {part for part in _bag(last) if part.kind is PartKind.WORD}
                self._take(range(n, n + 1), Dimension.MODEL, self._catalog.models_said(parts | words))
                last = [*last, (n, parts)]
            elif parts:
                phrase.append((n, parts))
        if phrase:
            self._take_phrase(phrase)

    def _is_adjacent(self, n: int) -> bool:
        between = self._text[self._words[n - 1].span.end : self._words[n].span.start]
        return between.strip(" -_") == "" and not self._words[n].is_negated

    def _is_continued(self, last: Phrase, n: int, parts: frozenset[Part]) -> bool:
        """Return whether a word is the 3.7 of "sonnet 3.5 or 3.7"."""
        return (
            bool(last)
            and (
                (last[-1][0] == n - 2 and self._words[n - 1].folded in _LINKS)
                or (last[-1][0] == n - 1 and self._text[self._words[n].span.start - 1] == "/")
            )
            and all(part.kind is PartKind.VERSION for part in parts)
            and not (
                n + 1 < len(self._words) and self._is_adjacent(n + 1) and self._parts(n + 1, is_inside=True)
            )
        )

    def _parts(self, n: int, *, is_inside: bool) -> frozenset[Part]:
        """Return the parts of a word that may be in a model's name; none if it has others."""
        word = self._words[n]
        if "/" in word.text:
            return frozenset()
        read = read_model(word.text).parts if ":" in word.text else parts_of(word.text)
        parts = frozenset(self._catalog.singular(part) for part in read)
        is_followed = n + 1 < len(self._words) and self._is_adjacent(n + 1)
        following = self._words[n + 1].folded if is_followed else ""
        if any(part.kind is PartKind.WORD for part in parts):
            next_parts = parts_of(following)[:1]
            if word.folded in _DOUBTFUL_WORDS and (
                following.endswith("s") or any(self._catalog.is_head(part) for part in next_parts)
            ):
                return frozenset()
            is_name = all(part.kind is not PartKind.WORD or self._catalog.may_be_part(part) for part in parts)
            return parts if is_name else frozenset()
        if len(parts) != 1 or _COUNTED.match(self._text, word.span.end):
            return frozenset()
        (part,) = parts
        is_name = is_inside or "." in part.text or not part.text.isdecimal()
        is_known = self._catalog.may_be_part(part) or _VERSION_OR_SIZE.fullmatch(part.text) is not None
        return parts if is_name and is_known else frozenset()

    def _take_phrase(self, phrase: Phrase) -> None:
        """Take adjacent words as one name, else as one for each word that begins a family."""
        if self._take_piece(phrase):
            return
        pieces: list[Phrase] = [[]]
        has_head = False
        for n, parts in phrase:
            is_head = any(self._catalog.is_head(part) for part in parts)
            if is_head and has_head:
                pieces.append([])
            has_head = has_head or is_head
            pieces[-1].append((n, parts))
        for piece in pieces:
            telling = [index for index in range(len(piece)) if self._is_telling(piece, index)]
            core = piece[telling[0] : telling[-1] + 1] if telling else []
            if (
                core
                and not (self._take_piece(piece) or self._take_piece(core))
                and self._is_model(_bag(core))
            ):
                self._take(range(core[0][0], core[-1][0] + 1), Dimension.MODEL, ())

    def _take_piece(self, piece: Phrase) -> bool:
        """Take a piece that names models. A model that lacks one of the parts is another model."""
        run = range(piece[0][0], piece[-1][0] + 1)
        name, said = self._name(run), _bag(piece)
        spelled = self._catalog.spelled(Dimension.MODEL, name) if is_distinctive(name) else set()
        if not spelled and self._catalog.spelled(Dimension.BACKEND, name):
            return False
        names = spelled or self._catalog.models_said(said)
        is_whole = len(piece) > 1 and self._catalog.is_whole(said, names)
        if not names or not (spelled or is_whole or is_anchored(said) or self._is_announced(run)):
            return False
        self._take(run, Dimension.MODEL, names)
        return True

    def _is_telling(self, piece: Phrase, index: int) -> bool:
        """Return whether a word cannot be left out: a size, the first version, a word of a family."""
        parts = piece[index][1]
        before = _bag(piece[:index])
        return (
            len(parts) > 1
            or any(part.kind is PartKind.SIZE or self._catalog.is_telling(part) for part in parts)
            or (
                all(part.kind is PartKind.VERSION for part in parts)
                and all(part.kind is not PartKind.VERSION for part in before)
            )
        )

    def _is_model(self, said: frozenset[Part]) -> bool:
        """Return whether parts that match no model are meant as one."""
        words = {part.text for part in said if part.kind is PartKind.WORD}
        has_head = any(self._catalog.is_head(part) for part in said)
        return (
            not words.isdisjoint((FAMILY_WORDS | MEMBER_WORDS) - _ORDINARY_FAMILIES)
            or (has_head and len(said) > 1 and is_anchored(said))
            or any(part.kind is PartKind.SIZE for part in said)
        )

    def _take_path(self, n: int) -> None:
        """Take `gpt-4/llama-70b`, `aws/gcp` and `sonnet/anthropic` as a list, `azure/gpt-4o` as a model."""
        word = self._words[n]
        if word.text.count("/") > _MAX_SLASHES:
            return
        terms, start = [], word.span.end - len(word.text)
        for piece in word.text.split("/"):
            span = TextSpan(start, start + len(piece))
            start = span.end + 1
            found, _ = read_terms(piece, self._catalog)
            if len(found) == 1 and found[0].span == TextSpan(0, len(piece)):
                terms.append(replace(found[0], span=span, is_negated=word.is_negated))
        is_list = len(terms) == word.text.count("/") + 1 and (
            len({term.dimension for term in terms}) == 1
            or bool(set.intersection(*({*term.members} for term in terms)))
        )
        is_pair = is_list and len({term.dimension for term in terms}) > 1
        said = read_model(word.text).parts
        names = self._catalog.spelled(Dimension.MODEL, self._normalized[n]) or (
            self._catalog.models_said(said) if not is_pair and is_anchored(said) else set()
        )
        if names:
            self._take(range(n, n + 1), Dimension.MODEL, names)
        elif is_list:
            self._terms += terms
            self._free[n] = False


def _bag(piece: Phrase) -> frozenset[Part]:
    return frozenset(part for _, parts in piece for part in parts)
