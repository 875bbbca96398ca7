"""Known deployments, indexed by the spellings and parts of their names. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from context_builder.question.names.model_parts import (
    COSMETIC_WORDS,
    FAMILY_WORDS,
    MEMBER_WORDS,
    VARIANT_WORDS,
    Part,
    PartKind,
    most_exact,
    read_model,
)
from context_builder.question.names.places import Places
from context_builder.question.names.words import ORDINARY_WORDS, normalize_name, plain_word

_MAX_REMEMBERED = 10_000
"""Sets of parts whose models are remembered."""
_MIN_HEAD_CHARACTERS = 3
"""Of the first word of a backend's name that stands for the backend."""


@dataclass(frozen=True, slots=True)
class DeploymentName:
    """The names of a deployment."""

    id: int
    public_id: str
    model: str
    backend: str
    region: str = ""


class Dimension(StrEnum):
    """What of a deployment a name refers to."""

    WHOLE = "deployment"
    MODEL = "model"
    BACKEND = "backend"
    REGION = "region"


class Catalog:
    """Known deployments by their names."""

    def __init__(self, known: Sequence[DeploymentName]) -> None:
        self._members: defaultdict[tuple[Dimension, str], list[int]] = defaultdict(list)
        self._spelled: defaultdict[tuple[Dimension, str], set[str]] = defaultdict(set)
        for d in known:
            for dimension, name in (
                (Dimension.WHOLE, d.public_id), (Dimension.MODEL, d.model), (Dimension.BACKEND, d.backend)
            ):  # fmt: skip
                self._members[dimension, name].append(d.id)
                self._spelled[dimension, normalize_name(name)].add(name)
            for name in {d.region, d.backend, d.model}:
                self._members[Dimension.REGION, name].append(d.id)
        self._models = {name: read_model(name) for name in {d.model for d in known}}
        self._by_part: defaultdict[Part, set[str]] = defaultdict(set)
        for name, model in self._models.items():
            for part in model.parts:
                self._by_part[part].add(name)
        first_words = {model.words[0] for model in self._models.values() if model.words}
        self._heads = (FAMILY_WORDS | first_words) - MEMBER_WORDS
        self._telling = (
            {word for model in self._models.values() for word in model.words} - ORDINARY_WORDS
        ) | (FAMILY_WORDS | MEMBER_WORDS | VARIANT_WORDS)
        self._backends_by_head: defaultdict[str, set[str]] = defaultdict(set)
        for backend in {d.backend for d in known}:
            head = plain_word(re.split(r"[\W_]+", backend.casefold())[0])
            if len(head) >= _MIN_HEAD_CHARACTERS and head.isalpha() and head not in ORDINARY_WORDS:
                self._backends_by_head[head].add(backend)
        self._said: dict[frozenset[Part], set[str]] = {}
        self.places = Places(
            (d.region for d in known), (name for d in known for name in (d.backend, d.model))
        )

    def members(self, dimension: Dimension, names: Iterable[str]) -> dict[int, str]:
        """Return the ids of the deployments that have one of the names, each with that name."""
        return {n: name for name in sorted(names) for n in self._members.get((dimension, name), ())}

    def spelled(self, dimension: Dimension, name: str) -> set[str]:
        """Return the known names with this normalized spelling."""
        return self._spelled.get((dimension, name), set())

    def models_said(self, said: frozenset[Part]) -> set[str]:
        """Return the models that are meant by all these parts together."""
        if said not in self._said:
            if len(self._said) >= _MAX_REMEMBERED:
                self._said.clear()
            holders = sorted((self._by_part.get(part, set()) for part in said), key=len)
            found = sorted(set.intersection(*holders)) if holders else []
            self._said[said] = {model.name for model in most_exact(said, [self._models[n] for n in found])}
        return self._said[said]

    def is_whole(self, said: frozenset[Part], names: Iterable[str]) -> bool:
        """Return whether nothing essential of the models is left unsaid."""
        return all(self._models[name].essential <= said for name in names)

    def backends_with_head(self, word: str) -> set[str]:
        """Return the backends whose name starts with a word: of `azure`, `azure-eu`."""
        return self._backends_by_head.get(plain_word(word), set())

    def is_head(self, part: Part) -> bool:
        """Return whether a part begins the name of a family of models, known or not."""
        return part.kind is PartKind.WORD and part.text in self._heads

    def may_be_part(self, part: Part) -> bool:
        """Return whether a model's name, known or not, may have this part."""
        return part in self._by_part or part.text in self._telling or part.text in COSMETIC_WORDS

    def singular(self, part: Part) -> Part:
        """Return a part without its plural: `haiku` for `haikus`."""
        one = Part(part.kind, part.text.removesuffix("s"))
        return one if part not in self._by_part and one.text in self._telling else part

    def is_telling(self, part: Part) -> bool:
        """Return whether a word tells one model from another, so that it cannot be left out."""
        return part.kind is PartKind.WORD and part.text in self._telling
