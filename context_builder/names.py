"""Names of the gateway's entities in free text: spelled loosely, matched exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from context_builder.request import UnknownName
from models import Tier

_WORD = re.compile(r"[^\W_][\w.:/@-]*", re.UNICODE)
_LONGEST_NAME = 3
"""Words that one name may be spread over: `llama 70b k8s`."""

_ALIASES = {"kubernetes": "k8s", "amazon": "aws", "google": "gcp", "microsoft": "azure"}
_NOT_NAMES = frozenset({"unknown", "default", "none", "other", "all", "the", "local"})
"""Names too ordinary to be meant when they occur in a sentence."""

_TIER = "|".join(Tier)
_TIER_NOUN = r"(?:users?|customers?|clients?|accounts?|tiers?|traffic|requests?|people|plans?)"
_TIER_LIST = re.compile(
    rf"\b(?:{_TIER})\b(?:(?:\s*(?:,|/|and|or|vs\.?|versus|with|to)\s*)+\b(?:{_TIER})\b)+", re.IGNORECASE
)
_TIER_PHRASE = re.compile(rf"\b({_TIER})\s+{_TIER_NOUN}\b|\btier\s+({_TIER})\b|\b(premium)\b", re.IGNORECASE)

_ID = re.compile(r"(?:user|inc|req|incident|request)[_-]\w[\w-]*", re.IGNORECASE)
_MODEL_LIKE = re.compile(
    r"(?!p\d)(?!v\d)(?!x\d)[a-z]{2,}[a-z.]*-?\d[\w.]*(?:[-/][\w.]+)*"  # gpt-5, llama-13b/k8s; not p95, v2.4
    r"|[\w.-]+/[\w.-]*\d[\w.-]*",  # gemini/k8s; not and/or
    re.IGNORECASE,
)
_SHORTEST_FAMILY = 3


@dataclass(frozen=True, slots=True)
class DeploymentName:
    """A deployment as it can be named."""

    id: int
    public_id: str
    model: str
    backend: str


@dataclass(frozen=True, slots=True)
class NamedDeployments:
    """What a text says about deployments."""

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    consumed: frozenset[str]
    """Words of the text that were understood."""


def words_of(text: str) -> list[str]:
    """The words of a text, with the punctuation that names contain but not what ends a sentence."""
    return [word for word in (match.group().rstrip(".:/@-") for match in _WORD.finditer(text)) if word]


def spelling(name: str) -> str:
    """What is left of a name when case and punctuation are ignored: `GPT 4` and `gpt-4` are one."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _runs(words: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every run of up to _LONGEST_NAME words, longest first, as one spelling."""
    for length in range(min(_LONGEST_NAME, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            run = tuple(words[start : start + length])
            yield spelling("".join(_ALIASES.get(word.casefold(), word) for word in run)), run


def find_deployments(text: str, known: Iterable[DeploymentName]) -> NamedDeployments:
    """The deployments that a text names: whole, by model, by backend, or by model and backend."""
    deployments = list(known)
    whole = {spelling(deployment.public_id): deployment.public_id for deployment in deployments}
    models = _spellings(deployment.model for deployment in deployments)
    backends = _spellings(deployment.backend for deployment in deployments)
    families = _families(deployment.model for deployment in deployments)
    named: set[str] = set()
    in_models: set[str] = set()
    in_backends: set[str] = set()
    consumed: set[str] = set()
    for spelled, run in _runs(words_of(text)):
        if consumed.intersection(run):
            continue
        if spelled in whole:
            named.add(whole[spelled])
        elif spelled in models:
            in_models.add(models[spelled])
        elif spelled in backends:
            in_backends.add(backends[spelled])
        elif spelled in families:
            in_models.update(families[spelled])
        else:
            continue
        consumed.update(run)
    chosen = _choose(deployments, named, in_models, in_backends)
    labels = tuple(f"deployment {deployment.public_id}" for deployment in chosen)
    return NamedDeployments(tuple(deployment.id for deployment in chosen), labels, frozenset(consumed))


def _spellings(names: Iterable[str]) -> dict[str, str]:
    return {spelling(name): name for name in names if name.casefold() not in _NOT_NAMES}


def _families(models: Iterable[str]) -> dict[str, set[str]]:
    """`llama` for `llama-70b` and `llama-8b`."""
    families: dict[str, set[str]] = {}
    for model in models:
        head = re.split(r"[-_.]", model)[0].casefold()
        if len(head) >= _SHORTEST_FAMILY and head.isalpha() and head not in _NOT_NAMES:
            families.setdefault(head, set()).add(model)
    return families


def _choose(
    deployments: list[DeploymentName], named: set[str], in_models: set[str], in_backends: set[str]
) -> list[DeploymentName]:
    """Model and backend together mean their pairs; where no pair exists they were named side by side."""
    both = [d for d in deployments if d.model in in_models and d.backend in in_backends]
    either = [d for d in deployments if d.model in in_models or d.backend in in_backends]
    parts = both or either
    return [d for d in deployments if d.public_id in named or d in parts]


def find_tiers(text: str) -> tuple[str, ...]:
    """The tiers that a text names; `budget` and `standard` count only where a tier can be meant."""
    phrases = " ".join(match.group() for match in _TIER_LIST.finditer(text))
    phrases += " " + " ".join(match.group() for match in _TIER_PHRASE.finditer(text))
    return tuple(tier for tier in Tier if re.search(rf"\b{tier}\b", phrases, re.IGNORECASE))


def possible_ids(text: str) -> frozenset[str]:
    """Words that could be the public id of a user, incident or request, case-folded."""
    return frozenset(word.casefold() for word in words_of(text) if len(word) > 1)


def unknown_names(text: str, understood: Iterable[str], known: Iterable[str]) -> tuple[UnknownName, ...]:
    """Words that look like entities but are none, each with known names that are spelled alike."""
    spelled = {word.casefold() for word in understood}
    catalog = {name.casefold(): name for name in known}
    unknown = []
    for word in dict.fromkeys(words_of(text)):
        folded = word.casefold()
        if folded in spelled or folded in catalog:
            continue
        near = tuple(catalog[match] for match in get_close_matches(folded, catalog, n=3, cutoff=0.6))
        if _ID.fullmatch(word) or (_MODEL_LIKE.fullmatch(word) and (near or "-" in word or "/" in word)):
            unknown.append(UnknownName(word, near))
    return tuple(unknown)
