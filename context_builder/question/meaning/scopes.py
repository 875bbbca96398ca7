"""Turns the names that a question includes and leaves out into a scope. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from context_builder.question.mention import NameKind, NameMention
from context_builder.question.names.catalog import DeploymentName
from context_builder.question.request import Scope
from context_builder.text.formatting import format_name
from models import Tier

ALL_BUT = "all deployments but"
"""How a label begins that names what is left out; the names in it are quoted where they are not plain."""
_MAX_LISTED = 5
"""Names left out that a label lists."""


def scope_of(
    included: Sequence[NameMention], excluded: Sequence[NameMention], fleet: Sequence[DeploymentName]
) -> Scope:
    """Return the scope of what is included, or of everything, without what is excluded.

    If nothing is left of a kind it is not restricted, so ask `leaves_nothing` before.
    """
    deployments = _remaining(NameKind.DEPLOYMENT, included, excluded, [d.public_id for d in fleet])
    ids = {d.public_id: d.id for d in fleet}
    tiers = _remaining(NameKind.TIER, included, excluded, list(Tier))
    users = _ids_by_name(NameKind.USER, included)
    left_out = _ids_by_name(NameKind.USER, excluded)
    incidents = _ids_by_name(NameKind.INCIDENT, included)
    requests = _ids_by_name(NameKind.REQUEST, included)
    return Scope(
        deployment_ids=tuple(ids[name] for name in deployments),
        tiers=tuple(tiers),
        user_ids=tuple(users[name] for name in users if name not in left_out),
        incident_ids=tuple(incidents.values()),
        request_ids=tuple(requests.values()),
        excluded_user_ids=tuple(left_out.values()),
        labels=(
            *_deployment_labels(deployments, included, excluded),
            *(f"tier {tier}" for tier in tiers),
            *(f"user {name}" for name in users if name not in left_out),
            *([f"all users but {_listed(left_out)}"] if left_out and not users else []),
            *(f"incident {name}" for name in incidents),
            *(f"request {name}" for name in requests),
        ),
    )


def leaves_nothing(
    kind: NameKind, included: Sequence[NameMention], excluded: Sequence[NameMention], known: Iterable[str]
) -> bool:
    """Return whether the names excluded are all that is included, or all that is `known`; empty: too many."""
    candidates = _names(kind, included) or list(known)
    return bool(candidates) and set(candidates) <= set(_names(kind, excluded))


def _remaining(
    kind: NameKind, included: Sequence[NameMention], excluded: Sequence[NameMention], known: Sequence[str]
) -> list[str]:
    """Return the names in scope in the order of `known`; none if nothing restricts them."""
    chosen, out = set(_names(kind, included)), set(_names(kind, excluded))
    if not chosen and not out:
        return []
    return [name for name in known if (not chosen or name in chosen) and name not in out]


def _deployment_labels(
    names: Sequence[str], included: Sequence[NameMention], excluded: Sequence[NameMention]
) -> list[str]:
    out = _names(NameKind.DEPLOYMENT, excluded)
    if out and not _names(NameKind.DEPLOYMENT, included):
        return [f"{ALL_BUT} {_listed(format_name(name) for name in out)}"]
    return [f"deployment {name}" for name in names]


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _MAX_LISTED
    return ", ".join(listed[:_MAX_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _names(kind: NameKind, mentions: Sequence[NameMention]) -> list[str]:
    return list(dict.fromkeys(name for m in mentions if m.kind is kind for name in m.names))


def _ids_by_name(kind: NameKind, mentions: Sequence[NameMention]) -> dict[str, int]:
    found = {n: i for m in mentions if m.kind is kind for n, i in zip(m.names, m.ids, strict=True)}
    return dict(sorted(found.items()))
