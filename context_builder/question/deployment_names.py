"""Finds the deployments that a text names: in full, by model, by backend, or by both. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from context_builder.question.names import ORDINARY_WORDS, normalize_name, words_of

_MAX_NAME_WORDS = 3
"""As in `llama 70b k8s`."""
_MIN_NAME_CHARACTERS = 2
_MIN_FAMILY_CHARACTERS = 3
_ANNOUNCING_WORDS = frozenset(
    {"backend", "backends", "cloud", "deployment", "deployments", "model", "models"}
)
"""Next to one of these even an ordinary word is a name: `the local backend`."""


@dataclass(frozen=True, slots=True)
class DeploymentName:
    """The names of a deployment."""

    id: int
    public_id: str
    model: str
    backend: str


@dataclass(frozen=True, slots=True)
class DeploymentMatches:
    """The deployments that a text names."""

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    matched_words: frozenset[str]
    """Words of the text that named them."""


@dataclass(slots=True)
class _Mention:
    """One name in the text, with the deployments, models or backends it may refer to."""

    words: tuple[str, ...]
    whole: set[str] = field(default_factory=set)
    """Public ids of deployments."""
    models: set[str] = field(default_factory=set)
    backends: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.whole or self.models or self.backends)


def find_deployments(text: str, known: Iterable[DeploymentName]) -> DeploymentMatches:
    """Return the known deployments that a text names, in the given order.

    A model and a backend together select their pairs; if there is none, each selects on its own.
    """
    deployments = list(known)
    mentions = _Catalog(deployments).mentions(words_of(text))
    whole = {public_id for mention in mentions for public_id in mention.whole}
    chosen = {deployment.id for group in _groups(mentions) for deployment in _members(group, deployments)}
    named = [d for d in deployments if d.public_id in whole or d.id in chosen]
    return DeploymentMatches(
        ids=tuple(deployment.id for deployment in named),
        labels=tuple(f"deployment {deployment.public_id}" for deployment in named),
        matched_words=frozenset(word for mention in mentions for word in mention.words),
    )


class _Catalog:
    """Known names by their normalized spelling."""

    def __init__(self, deployments: Iterable[DeploymentName]) -> None:
        self._whole: defaultdict[str, set[str]] = defaultdict(set)
        self._models: defaultdict[str, set[str]] = defaultdict(set)
        self._backends: defaultdict[str, set[str]] = defaultdict(set)
        self._families: defaultdict[str, set[str]] = defaultdict(set)
        for deployment in deployments:
            self._whole[normalize_name(deployment.public_id)].add(deployment.public_id)
            self._models[normalize_name(deployment.model)].add(deployment.model)
            self._backends[normalize_name(deployment.backend)].add(deployment.backend)
            head = re.split(r"[-_.\s]", deployment.model)[0]
            if len(head) >= _MIN_FAMILY_CHARACTERS and head.isalpha():
                self._families[normalize_name(head)].add(deployment.model)

    def mentions(self, words: list[str]) -> list[_Mention]:
        """Return the names in a text, in text order; where they overlap, the longest wins."""
        found: dict[int, _Mention] = {}
        taken: set[int] = set()
        for length in range(min(_MAX_NAME_WORDS, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                positions = range(start, start + length)
                if taken.isdisjoint(positions):
                    mention = self._mention(words, start, length)
                    if mention:
                        found[start] = mention
                        taken.update(positions)
        return [found[start] for start in sorted(found)]

    def _mention(self, words: list[str], start: int, length: int) -> _Mention:
        run = tuple(words[start : start + length])
        name = normalize_name(" ".join(run))
        neighbours = [*words[max(0, start - 1) : start], *words[start + length :][:1]]
        is_announced = any(word.casefold() in _ANNOUNCING_WORDS for word in neighbours)
        mention = _Mention(run)
        if "/" in run[0] or _is_distinctive(name):
            mention.whole = self._whole.get(name, set())
        if not mention and (_is_distinctive(name) or is_announced):
            mention.models = self._models.get(name, set())
            mention.backends = set() if mention.models else self._backends.get(name, set())
        if not mention and _is_distinctive(name):
            mention.models = self._families.get(name, set())
        return mention or self._slash_list(run)

    def _slash_list(self, run: tuple[str, ...]) -> _Mention:
        """Read `aws/gcp` as two backends and `gpt-4/llama-70b` as two models."""
        mention = _Mention(run)
        if len(run) == 1 and "/" in run[0]:
            parts = [normalize_name(part) for part in run[0].split("/")]
            models = [self._models.get(part) or self._families.get(part, set()) for part in parts]
            backends = [self._backends.get(part, set()) for part in parts]
            if all(models):
                mention.models = set().union(*models)
            elif all(backends):
                mention.backends = set().union(*backends)
        return mention


def _is_distinctive(name: str) -> bool:
    """Return whether a name is too unlike ordinary words and numbers to occur by chance."""
    return len(name) >= _MIN_NAME_CHARACTERS and not name.isdecimal() and name not in ORDINARY_WORDS


def _groups(mentions: Iterable[_Mention]) -> Iterator[_Mention]:
    """Merge models and backends that belong together: "gpt-4 on aws and llama on k8s" has two groups."""
    group, begins_with_model = _Mention(()), True
    for mention in mentions:
        if mention.whole:
            continue
        is_model = bool(mention.models)
        if group.models and group.backends and is_model == begins_with_model:
            yield group
            group = _Mention(())
        if not group:
            begins_with_model = is_model
        group.models |= mention.models
        group.backends |= mention.backends
    yield group


def _members(group: _Mention, deployments: list[DeploymentName]) -> list[DeploymentName]:
    both = [d for d in deployments if d.model in group.models and d.backend in group.backends]
    return both or [d for d in deployments if d.model in group.models or d.backend in group.backends]
