"""Topology of the gateway: answers "which models are served, by which backends, where, and for whom?".

Columns: models with their deployments (backend, region, version), backends with the models they serve, tiers
with the number of their users; all as of one moment in UTC. The same for every question about that moment,
regardless of scope and window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import case, func, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.fleet import is_overwritten, known_deployments, latest_accepted_report
from context_builder.text.formatting import format_count, format_list, format_name
from context_builder.text.lists import format_items
from models import Deployment, Tier, User
from models.database import ReadSession

MAX_MODELS = 22
MAX_BACKENDS = 12
MAX_LISTED = 12
_UNKNOWN = ""
"""Tier of users whose tier or budget changed later."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return one fact per model and backend, and one for the tiers."""
    async with stores.snapshot.session() as session:
        deployments = await known_deployments(session, request, all_of_them=True)
        # How many others there are is none of a user's business.
        users = {} if request.confined_to is not None else await _count_users(session, request)
    if not deployments and not users:
        return Section("no deployments and no users are known", status=Status.EMPTY)
    models, backends = _group_by(deployments, "model"), _group_by(deployments, "backend")
    facts = [*_model_facts(models, request), *_backend_facts(backends)]
    if users:
        facts.append(_tier_fact(users))
    header = (
        f"the whole gateway: {format_count(len(deployments), 'deployment')} of "
        f"{format_count(len(models), 'model')} on {format_count(len(backends), 'backend')}"
        + (f", {format_count(sum(users.values()), 'user')}" if request.confined_to is None else "")
    )
    nouns = (Noun.DEPLOYMENT, Noun.MODEL, Noun.BACKEND, Noun.USER)
    return Section(
        header,
        tuple(facts),
        gaps=tuple(_gaps(deployments, users, request)),
        headline=Headline(text=header, role=Role.COUNT, nouns=nouns),
    )


async def _count_users(session: ReadSession, request: ContextRequest) -> dict[str, int]:
    tier = case((User.updated_at <= latest_accepted_report(request), User.tier), else_=_UNKNOWN)
    rows = await session.execute(
        select(tier, func.count()).where(User.created_at <= request.as_of).group_by(tier)
    )
    return {row[0]: row[1] for row in rows}


def _group_by(deployments: Sequence[Deployment], column: str) -> dict[str, list[Deployment]]:
    """Group deployments by model or backend, the largest group first."""
    groups: defaultdict[str, list[Deployment]] = defaultdict(list)
    for deployment in deployments:
        groups[getattr(deployment, column)].append(deployment)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _model_facts(groups: dict[str, list[Deployment]], request: ContextRequest) -> Iterator[Fact]:
    names = list(groups)
    for model in names[:MAX_MODELS]:
        places = format_items([_format_place(one, request) for one in groups[model]], MAX_LISTED)
        short = f"model {format_name(model)} on {format_count(len(groups[model]), 'backend')}"
        headline = Headline(text=f"{format_name(model)} on {places}", role=Role.STATE, nouns=(Noun.MODEL,))
        yield Fact(f"model {format_name(model)} on {places}", short, 0.6, kind="models", headline=headline)
    if len(names) > MAX_MODELS:
        rest = format_list(names[MAX_MODELS:], MAX_LISTED)
        yield Fact(f"{len(names) - MAX_MODELS:,} more models: {rest}", "", 0.3, kind="models")


def _format_place(deployment: Deployment, request: ContextRequest) -> str:
    details = []
    if not is_overwritten(deployment, request):
        details = [format_name(deployment.region)] if deployment.region else []
        details += [f"version {format_name(deployment.version)}"] if deployment.version else []
    return format_name(deployment.backend) + (f" ({', '.join(details)})" if details else "")


def _backend_facts(groups: dict[str, list[Deployment]]) -> Iterator[Fact]:
    names = list(groups)
    for backend in names[:MAX_BACKENDS]:
        models = format_list([deployment.model for deployment in groups[backend]], MAX_LISTED)
        short = f"backend {format_name(backend)} serves {format_count(len(groups[backend]), 'model')}"
        text = f"backend {format_name(backend)} serves {models}"
        headline = Headline(text=text, role=Role.STATE, nouns=(Noun.BACKEND,))
        yield Fact(text, short, 0.5, kind="backends", headline=headline)
    if len(names) > MAX_BACKENDS:
        rest = format_list(names[MAX_BACKENDS:], MAX_LISTED)
        yield Fact(f"{len(names) - MAX_BACKENDS:,} more backends: {rest}", "", 0.3, kind="backends")


def _tier_fact(users: dict[str, int]) -> Fact:
    parts = [f"{tier} {users[tier]:,}" for tier in Tier if tier in users]
    if _UNKNOWN in users:
        parts.append(f"unknown at this moment {users[_UNKNOWN]:,}")
    text = f"users by tier: {', '.join(parts)}"
    headline = Headline(text=text, role=Role.RANKING, nouns=(Noun.USER, Noun.TIER))
    return Fact(text, "", 0.55, kind="tiers", headline=headline)


def _gaps(deployments: Sequence[Deployment], users: dict[str, int], request: ContextRequest) -> Iterator[str]:
    later = [one.public_id for one in deployments if is_overwritten(one, request)]
    if later:
        yield f"region and version at this moment of {format_list(later, MAX_LISTED)}: written later"
    if _UNKNOWN in users:
        yield f"tier at this moment of {format_count(users[_UNKNOWN], 'user')} changed later"


source = ContextSource(
    "topology",
    "T",
    frozenset({Topic.HEALTH, Topic.VOLUME, Topic.CHANGES, Topic.LATENCY}),
    2.0,
    read,
    stable=True,
    shows_to_confined=Shown.ALL,
)
