"""Finds the deployments that a text names, in full or by model, backend and region. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from context_builder.question.mention import NameKind, NameMention, TextSpan
from context_builder.question.names.catalog import Catalog, DeploymentName, Dimension
from context_builder.question.names.deployment_terms import Term, read_terms

_EXCLUSION = re.compile(
    r"\b(?:except|exclud\w*|without|other than|but|not|apart from|besides|ignor\w+)\b", re.IGNORECASE
)
"""What follows is not in one group with what stands before: "all on aws except gpt-4"."""
_CLAUSE_END = re.compile(r"[;?!]")
"""No list goes beyond it: "anything on bedrock; gpt-4 on aws vs azure"."""
_COMPARISON = re.compile(r"\b(?:vs|versus|against|compared (?:to|with)|than)\b", re.IGNORECASE)
"""What follows is a side of its own unless it names the same part: "gpt-4 on aws vs eu-west-1"."""
_MAX_LISTED = 6
"""Names that a note lists."""


@dataclass(frozen=True, slots=True)
class DeploymentReading:
    """What a text says of deployments."""

    mentions: tuple[NameMention, ...]
    unmatched: tuple[TextSpan, ...]
    """Names of models, backends and regions that do not exist."""


def find_deployment_names(text: str, known: Sequence[DeploymentName]) -> tuple[NameMention, ...]:
    """Return a mention for each name in the text, in text order.

    A model, a backend and a region together select the deployments that have all of them; if there is
    none, each selects on its own.
    """
    return read_deployments(text, known).mentions


def read_deployments(text: str, known: Sequence[DeploymentName]) -> DeploymentReading:
    """Return the deployments that a text names, and the places that name what does not exist."""
    terms, unmatched = read_terms(text, _catalog(tuple(known)))
    public_ids = {deployment.id: deployment.public_id for deployment in known}
    mentions = [
        _mention(text, item, ids, remark, public_ids)
        for group in _groups(text, terms)
        for item, ids, remark in _items(text, group)
    ]
    return DeploymentReading(tuple(sorted(mentions, key=lambda found: found.spans)), tuple(sorted(unmatched)))


@lru_cache(maxsize=4)
def _catalog(known: tuple[DeploymentName, ...]) -> Catalog:
    """Return the catalog of a fleet, which is the same for many questions."""
    return Catalog(known)


def _groups(text: str, terms: Iterable[Term]) -> Iterator[list[Term]]:
    """Yield names that belong together: "gpt-4 on aws and llama on k8s" has two groups."""
    group: list[Term] = []
    for term in terms:
        if term.dimension is Dimension.WHOLE:
            yield [term]
            continue
        if group and (
            term.is_negated
            or group[-1].is_negated
            or (term.dimension == group[0].dimension != group[-1].dimension)
            or _EXCLUSION.search(text, group[-1].span.end, term.span.start)
            or _CLAUSE_END.search(text, group[-1].span.end, term.span.start)
            or (
                all(term.dimension != other.dimension for other in group)
                and _COMPARISON.search(text, group[-1].span.end, term.span.start)
            )
        ):
            yield group
            group = []
        group.append(term)
    if group:
        yield group


def _items(text: str, group: list[Term]) -> Iterator[tuple[list[Term], frozenset[int], str]]:
    """Yield what a group lists, each with its ids: of "gpt-4 on aws or gcp" two, both with gpt-4."""
    dimensions = list(dict.fromkeys(term.dimension for term in group))
    listed = next((d for d in dimensions if sum(term.dimension == d for term in group) > 1), dimensions[0])
    restriction = [
        frozenset[int]().union(*(term.members for term in group if term.dimension == dimension))
        for dimension in dimensions
        if dimension != listed
    ]
    heads = [term for term in group if term.dimension == listed]
    chosen = [frozenset(head.members).intersection(*restriction) for head in heads]
    if not any(chosen):
        said = " and ".join(f"“{_said(text, term)}”" for term in group)
        yield from (([term], frozenset(term.members), f"no deployment is {said}") for term in group)
        return
    items: list[list[Term]] = [[head] for head in heads]
    for term in group:
        if term.dimension != listed:
            nearest = min(range(len(heads)), key=lambda n: _distance(heads[n], term))
            items[nearest].append(term)
    for item, ids in zip(items, chosen, strict=True):
        if ids:
            yield item, ids, ""
        else:
            yield item, frozenset(item[0].members), f"“{_said(text, item[0])}” is taken wherever it runs"


def _distance(one: Term, other: Term) -> int:
    return max(one.span.start, other.span.start) - min(one.span.end, other.span.end)


def _mention(
    text: str, item: list[Term], ids: frozenset[int], remark: str, public_ids: dict[int, str]
) -> NameMention:
    named = sorted(ids, key=lambda deployment_id: public_ids[deployment_id])
    notes = [note for term in item if (note := _note(text, term, ids))]
    return NameMention(
        spans=tuple(sorted(term.span for term in item)),
        kind=NameKind.DEPLOYMENT,
        ids=tuple(named),
        names=tuple(public_ids[deployment_id] for deployment_id in named),
        is_negated=any(term.is_negated for term in item),
        note="; ".join([*notes, *([remark] if remark else [])]),
    )


def _note(text: str, term: Term, ids: frozenset[int]) -> str:
    """Say what a name means that is not written as it is known."""
    meant = sorted({name for deployment_id, name in term.members.items() if deployment_id in ids})
    if (
        not meant
        or (len(meant) == 1 and (term.is_exact or term.dimension is not Dimension.REGION))
        or term.is_exact
    ):
        return ""
    rest = len(meant) - _MAX_LISTED
    listed = ", ".join(meant[:_MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
    count = f"{len(meant)} {term.dimension}s: " if len(meant) > 1 else ""
    return f"“{_said(text, term)}” means {count}{listed}"


def _said(text: str, term: Term) -> str:
    return text[term.span.start : term.span.end]
