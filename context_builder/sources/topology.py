"""The gateway itself: answers "which models are served, by which backends, where, and for whom?".

Columns: models with their deployments (backend, region, version), backends with the models they serve, tiers
with the number of their users; changes and times in UTC. The same for every question about the same moment,
whatever its scope and window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import case, func, select

from context_builder.figures import count, named
from context_builder.fleet import horizon, is_overwritten, known_deployments, listed
from context_builder.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from models import Deployment, Tier, User
from models.database import ReadSession

MOST_MODELS = 22
MOST_BACKENDS = 12
MOST_LISTED = 12
_UNKNOWN = ""
"""Tier of users whose tier was changed later."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Models, backends and tiers, a line each."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request, all_of_them=True)
        users = await _users(session, request)
    if not deployments and not users:
        return Section("no deployments and no users are known", status=Status.EMPTY)
    models, backends = _grouped(deployments, "model"), _grouped(deployments, "backend")
    facts = [*_models(models, request), *_backends(backends)]
    if users:
        facts.append(_tiers(users))
    return Section(
        f"the whole gateway: {count(len(deployments), 'deployment')} of {count(len(models), 'model')} on "
        f"{count(len(backends), 'backend')}, {count(sum(users.values()), 'user')}",
        tuple(facts),
        gaps=tuple(_gaps(deployments, users, request)),
    )


async def _users(session: ReadSession, request: ContextRequest) -> dict[str, int]:
    tier = case((User.updated_at <= horizon(request), User.tier), else_=_UNKNOWN)
    rows = await session.execute(
        select(tier, func.count()).where(User.created_at <= request.as_of).group_by(tier)
    )
    return {row[0]: row[1] for row in rows}


def _grouped(deployments: Sequence[Deployment], column: str) -> dict[str, list[Deployment]]:
    """Deployments by model or backend, those with the most of them first."""
    groups: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        groups[getattr(deployment, column)].append(deployment)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _models(groups: dict[str, list[Deployment]], request: ContextRequest) -> Iterator[Fact]:
    names = list(groups)
    for model in names[:MOST_MODELS]:
        places = [_place(deployment, request) for deployment in groups[model][:MOST_LISTED]]
        more = len(groups[model]) - MOST_LISTED
        rest = f" and {more:,} more" if more > 0 else ""
        short = f"model {named(model)} on {count(len(groups[model]), 'backend')}"
        yield Fact(f"model {named(model)} on {', '.join(places)}{rest}", short, 0.6, kind="models")
    if len(names) > MOST_MODELS:
        rest = listed(names[MOST_MODELS:], MOST_LISTED)
        yield Fact(f"{len(names) - MOST_MODELS:,} more models: {rest}", "", 0.3, kind="models")


def _place(deployment: Deployment, request: ContextRequest) -> str:
    details = []
    if not is_overwritten(deployment, request):
        details = [named(deployment.region)] if deployment.region else []
        details += [f"version {named(deployment.version)}"] if deployment.version else []
    return named(deployment.backend) + (f" ({', '.join(details)})" if details else "")


def _backends(groups: dict[str, list[Deployment]]) -> Iterator[Fact]:
    names = list(groups)
    for backend in names[:MOST_BACKENDS]:
        models = listed([deployment.model for deployment in groups[backend]], MOST_LISTED)
        short = f"backend {named(backend)} serves {count(len(groups[backend]), 'model')}"
        yield Fact(f"backend {named(backend)} serves {models}", short, 0.5, kind="backends")
    if len(names) > MOST_BACKENDS:
        rest = listed(names[MOST_BACKENDS:], MOST_LISTED)
        yield Fact(f"{len(names) - MOST_BACKENDS:,} more backends: {rest}", "", 0.3, kind="backends")


def _tiers(users: dict[str, int]) -> Fact:
    parts = [f"{tier} {users[tier]:,}" for tier in Tier if tier in users]
    if _UNKNOWN in users:
        parts.append(f"not known for this moment {users[_UNKNOWN]:,}")
    return Fact(f"users by tier: {', '.join(parts)}", "", 0.55, kind="tiers")


def _gaps(deployments: Sequence[Deployment], users: dict[str, int], request: ContextRequest) -> Iterator[str]:
    later = [one.public_id for one in deployments if is_overwritten(one, request)]
    if later:
        yield f"region and version at this moment of {listed(later, MOST_LISTED)}: they were written later"
    if _UNKNOWN in users:
        yield f"tier at this moment of {count(users[_UNKNOWN], 'user')} who were changed later"


source = ContextSource(
    "topology",
    "T",
    frozenset({Topic.HEALTH, Topic.VOLUME, Topic.CHANGES, Topic.LATENCY}),
    2.0,
    read,
    stable=True,
)
