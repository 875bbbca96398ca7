"""The deployments that a text names: whole, by model, by backend, or by model and backend. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from context_builder.question.names import ORDINARY_WORDS, normalize_name, words_of

_MAX_NAME_WORDS = 3
"""Words that one name may be spread over: `llama 70b k8s`."""
_MIN_NAME_CHARACTERS = 2
_MIN_FAMILY_CHARACTERS = 3
_ANNOUNCING_WORDS = frozenset(
    {"backend", "backends", "cloud", "deployment", "deployments", "model", "models"}
)
"""Beside such a word even an ordinary word is a name: `the local backend`."""


@dataclass(frozen=True, slots=True)
class DeploymentName:
    """A deployment as it can be named."""

    id: int
    public_id: str
    model: str
    backend: str


@dataclass(frozen=True, slots=True)
class DeploymentMatches:
    """What a text says about deployments."""

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    consumed: frozenset[str]
    """Words of the text that were understood."""


@dataclass(slots=True)
class _Mention:
    """One name in the text: the deployments, models or backends that are spelled so."""

    position: int
    words: tuple[str, ...]
    whole: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    backends: set[str] = field(default_factory=set)


def find_deployments(text: str, known: Iterable[DeploymentName]) -> DeploymentMatches:
    """The known deployments that a text names, in the order given.

    Model and backend together mean their pairs; where no such pair exists, each was named for itself.
    """
    deployments = list(known)
    mentions = _Catalog(deployments).mentions(words_of(text))
    whole = {public_id for mention in mentions for public_id in mention.whole}
    chosen = {deployment.id for group in _groups(mentions) for deployment in _members(group, deployments)}
    named = [d for d in deployments if d.public_id in whole or d.id in chosen]
    return DeploymentMatches(
        ids=tuple(deployment.id for deployment in named),
        labels=tuple(f"deployment {deployment.public_id}" for deployment in named),
        consumed=frozenset(word for mention in mentions for word in mention.words),
    )


class _Catalog:
    """Known names by their spelling."""

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
        """The names in a text, longest first where they overlap, in the order in which they stand."""
        found: dict[int, _Mention] = {}
        taken: set[int] = set()
        for length in range(min(_MAX_NAME_WORDS, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                positions = range(start, start + length)
                if taken.isdisjoint(positions):
                    mention = self._mention(words, start, length)
                    if mention.whole or mention.models or mention.backends:
                        found[start] = mention
                        taken.update(positions)
        return [found[start] for start in sorted(found)]

    def _mention(self, words: list[str], start: int, length: int) -> _Mention:
        run = tuple(words[start : start + length])
        mention = _Mention(start, run)
        spelled = normalize_name(" ".join(run))
        beside = {
            word.casefold() for word in (*words[max(0, start - 1) : start], *words[start + length :][:1])
        }
        if "/" in run[0] or _is_distinctive(spelled):
            mention.whole = self._whole.get(spelled, set())
        if not mention.whole and (_is_distinctive(spelled) or beside & _ANNOUNCING_WORDS):
            mention.models = self._models.get(spelled, set())
            mention.backends = set() if mention.models else self._backends.get(spelled, set())
        if not (mention.whole or mention.models or mention.backends):
            if _is_distinctive(spelled):
                mention.models = self._families.get(spelled, set())
            if length == 1 and "/" in run[0]:
                self._read_list(mention, [normalize_name(part) for part in run[0].split("/")])
        return mention

    def _read_list(self, mention: _Mention, parts: list[str]) -> None:
        """`aws/gcp` may be two backends, `gpt-4/llama-70b` two models."""
        models = [self._models.get(part) or self._families.get(part, set()) for part in parts]
        backends = [self._backends.get(part, set()) for part in parts]
        if all(models):
            mention.models = set().union(*models)
        elif all(backends):
            mention.backends = set().union(*backends)


def _is_distinctive(spelled: str) -> bool:
    """Whether a name is too unlike any ordinary word or number to be met by chance."""
    return len(spelled) >= _MIN_NAME_CHARACTERS and not spelled.isdecimal() and spelled not in ORDINARY_WORDS


def _groups(mentions: Iterable[_Mention]) -> Iterator[_Mention]:
    """Models and backends that belong together: "gpt-4 on aws and llama on k8s" makes two groups."""
    group, begins_with_model = _Mention(0, ()), True
    for mention in mentions:
        if mention.whole:
            continue
        is_model = bool(mention.models)
        if group.models and group.backends and is_model == begins_with_model:
            yield group
            group = _Mention(0, ())
        if not (group.models or group.backends):
            begins_with_model = is_model
        group.models |= mention.models
        group.backends |= mention.backends
    yield group


def _members(group: _Mention, deployments: list[DeploymentName]) -> list[DeploymentName]:
    both = [d for d in deployments if d.model in group.models and d.backend in group.backends]
    return both or [d for d in deployments if d.model in group.models or d.backend in group.backends]
