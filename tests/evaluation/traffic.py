"""The requests of a world, as they would be logged under given disturbances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from models import FAILED_STATUSES, RequestStatus
from models.request_log import NewRequest
from tests.evaluation.names import stream
from tests.evaluation.world import DAY, MINUTE, Account, Task, World

SCORED = 0.4
"""Share of answered requests that get a quality score."""
_OF_TIMEOUT_MS = 30_000


@dataclass(slots=True, kw_only=True)
class Sent:
    """One request with all that is known of it, its score too."""

    public_id: str
    moment: datetime
    account: Account
    deployment: str
    task: str
    router_version: str
    reason: dict[str, Any]
    status: str = "success"
    code: str | None = None
    latency_ms: int = 0
    cost_usd: Decimal = Decimal(0)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    endpoint: str = ""
    score: float | None = None
    scored_at: datetime | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended badly."""
        return self.status in FAILED_STATUSES

    def row(self, world: World) -> NewRequest:
        """What is appended to the request log."""
        return NewRequest(
            public_id=self.public_id,
            created_at=self.moment,
            user_id=self.account.id,
            deployment_id=world.deployed(self.deployment).id,
            tier=self.account.tier,
            status=self.status,
            error_code=self.code,
            latency_ms=self.latency_ms,
            cost_usd=self.cost_usd,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            endpoint=self.endpoint,
            task_type=self.task,
            router_version=self.router_version,
            routing_reason=self.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Some of the requests; an empty field does not restrict anything."""

    deployments: frozenset[str] = frozenset()
    tier: str = ""
    user: str = ""
    router_version: str = ""
    code: str = ""

    def holds(self, sent: Sent) -> bool:
        """Whether a request belongs to it."""
        return (
            (not self.deployments or sent.deployment in self.deployments)
            and (not self.tier or sent.account.tier == self.tier)
            and (not self.user or sent.account.public_id == self.user)
            and (not self.router_version or sent.router_version == self.router_version)
            and (not self.code or sent.code == self.code)
        )


EVERYTHING = Slice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What happens to the requests of a slice in a span of time."""

    where: Slice
    start: datetime
    end: datetime | None = None
    slowdown: float = 1.0
    ramp: timedelta = timedelta(0)
    """How long the slowdown takes to grow to its full size."""
    failing: float = 0.0
    """Share that fails beside the ordinary failures."""
    errors: tuple[tuple[str, str], ...] = ()
    """Status and code of those, each as likely."""
    quality_loss: float = 0.0
    divert_to: tuple[str, ...] = ()
    """Deployments that take requests over, each as likely."""
    diverted: float = 1.0
    """Share of the requests that they take."""
    retry_on: str = ""
    """Where a request that fails is tried again."""
    lost: bool = False
    """The request is served, but nothing of it is logged."""

    def touches(self, sent: Sent) -> bool:
        """Whether it has an effect on a request."""
        return (
            self.start <= sent.moment
            and (self.end is None or sent.moment < self.end)
            and self.where.holds(sent)
        )

    def slowdown_at(self, moment: datetime) -> float:
        """The factor on latency at a moment."""
        if not self.ramp:
            return self.slowdown
        return 1 + (self.slowdown - 1) * min(1.0, (moment - self.start) / self.ramp)


@dataclass(frozen=True, slots=True)
class Surge:
    """One user sends more: so many requests a minute beside its usual ones."""

    account: Account
    start: datetime
    end: datetime
    per_minute: float
    deployment: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """A router version that decides about a share of the requests from a moment on."""

    version: str
    start: datetime
    share: float


@dataclass(slots=True)
class Disturbances:
    """All that keeps a day from being ordinary."""

    effects: list[Effect] = field(default_factory=list)
    surges: list[Surge] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)


def ordinary_noise(world: World, start: datetime, end: datetime) -> list[Effect]:
    """Short hiccups that any gateway has; nobody would be woken for one."""
    chance = stream(world.name, "noise", start)
    effects = []
    for _ in range(round((end - start) / DAY * chance.randint(4, 7))):
        at = start + (end - start) * chance.random()
        deployed = chance.choice(world.deployments)
        slow = chance.random() < 0.6
        effects.append(
            Effect(
                where=Slice(deployments=frozenset({deployed.public_id})),
                start=at,
                end=at + chance.randint(4, 12) * MINUTE,
                slowdown=chance.uniform(1.15, 1.5) if slow else 1.0,
                failing=0.0 if slow else chance.uniform(0.03, 0.10),
                errors=deployed.codes,
            )
        )
    return effects


def generate(
    world: World, chance: Random, start: datetime, end: datetime, disturbances: Disturbances
) -> list[Sent]:
    """The requests that are logged in [start, end), oldest first."""
    logged = [
        attempt
        for moment, account, deployment in _arrivals(world, chance, start, end, disturbances.surges)
        for attempt in _attempts(
            world, chance, _sent(world, chance, moment, account, deployment), disturbances
        )
    ]
    return sorted(
        (sent for sent in logged if sent.moment < end), key=lambda sent: (sent.moment, sent.public_id)
    )


def _arrivals(
    world: World, chance: Random, start: datetime, end: datetime, surges: Sequence[Surge]
) -> Iterator[tuple[datetime, Account, str]]:
    weights = [account.weight for account in world.accounts]
    minute = start
    while minute < end:
        for _ in range(_poisson(chance, world.rate(minute))):
            (account,) = chance.choices(world.accounts, weights)
            routes = world.routes[account.tier]
            (deployment,) = chance.choices(list(routes), list(routes.values()))
            yield minute + MINUTE * chance.random(), account, deployment
        for surge in surges:
            if surge.start <= minute < surge.end:
                for _ in range(_poisson(chance, surge.per_minute)):
                    yield minute + MINUTE * chance.random(), surge.account, surge.deployment
        minute += MINUTE


def _poisson(chance: Random, mean: float) -> int:
    limit, product, number = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        number += 1
    return number


def _sent(world: World, chance: Random, moment: datetime, account: Account, deployment: str) -> Sent:
    return Sent(
        public_id=f"req_{chance.getrandbits(48):012x}",
        moment=moment,
        account=account,
        deployment=deployment,
        task=chance.choice(list(world.tasks)),
        router_version=world.router_at(moment),
        reason={"policy": f"{account.tier}-weights"},
    )


def _attempts(world: World, chance: Random, sent: Sent, disturbances: Disturbances) -> Iterator[Sent]:
    """A request as it is routed and answered, and its second attempt where there is one."""
    for rollout in disturbances.rollouts:
        if sent.moment >= rollout.start and chance.random() < rollout.share:
            sent.router_version = rollout.version
    for effect in disturbances.effects:
        if effect.divert_to and effect.touches(sent) and chance.random() < effect.diverted:
            sent.reason = {"policy": "failover", "avoided": sent.deployment}
            sent.deployment = chance.choice(effect.divert_to)
    touching = [effect for effect in disturbances.effects if effect.touches(sent)]
    retry_on = _answer(world, chance, sent, touching)
    if not any(effect.lost for effect in touching):
        yield sent
    if retry_on:
        again = _sent(
            world, chance, sent.moment + timedelta(seconds=chance.uniform(1, 4)), sent.account, retry_on
        )
        again = replace(again, task=sent.task, reason={"policy": "fallback", "failed": sent.deployment})
        yield from _attempts(world, chance, again, disturbances)


def _answer(world: World, chance: Random, sent: Sent, touching: Sequence[Effect]) -> str:
    """Fills in the outcome; gives where a failed request is tried again, if anywhere."""
    deployed, task = world.deployed(sent.deployment), world.tasks[sent.task]
    sent.endpoint = task.endpoint
    slowdown = math.prod(effect.slowdown_at(sent.moment) for effect in touching)
    latency = deployed.median_ms * task.pace * slowdown * chance.lognormvariate(0, deployed.sigma)
    for effect in touching:
        if chance.random() < effect.failing:
            _fail(chance, sent, latency, effect.errors)
            return effect.retry_on
    if chance.random() < deployed.failing:
        _fail(chance, sent, latency, deployed.codes)
        return ""
    sent.latency_ms = round(latency)
    _bill(chance, sent, task, deployed.price)
    if chance.random() < SCORED:
        loss = max((effect.quality_loss for effect in touching), default=0.0)
        sent.score = round(min(1.0, max(0.0, chance.gauss(deployed.quality - loss, 0.08))), 3)
        sent.scored_at = sent.moment + timedelta(hours=chance.uniform(1, 6))
    return ""


def _fail(chance: Random, sent: Sent, latency: float, errors: Sequence[tuple[str, str]]) -> None:
    sent.status, sent.code = chance.choice(errors)
    if sent.status == RequestStatus.TIMEOUT:
        sent.latency_ms = _OF_TIMEOUT_MS + chance.randint(0, 400)
    elif sent.status == RequestStatus.RATE_LIMITED:
        sent.latency_ms = chance.randint(8, 60)
    else:
        sent.latency_ms = round(latency * chance.uniform(0.3, 1.0))


def _bill(chance: Random, sent: Sent, task: Task, price: float) -> None:
    sent.prompt_tokens = round(task.prompt_tokens * chance.uniform(0.6, 1.4))
    sent.completion_tokens = round(task.completion_tokens * chance.uniform(0.6, 1.4))
    sent.cost_usd = Decimal(str(round((sent.prompt_tokens + 4 * sent.completion_tokens) / 1_000 * price, 6)))
