"""Requests of the week before the anchor, in chronological order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from api.demo_data.arrivals import arrivals
from api.demo_data.chance import pick, steady_normals, stream
from api.demo_data.incidents import Disturbances
from api.demo_data.outcome import TASK_MIX, TASKS, Outcome, Task, answer, failure
from api.demo_data.personas import BATCH_ENDPOINT, BATCH_USER, DEPLOYMENTS, USERS, UserRole
from api.demo_data.routing import Route, choose, failover, router_at
from api.ingest.records import RequestRecord
from models import RequestStatus, Tier

WEEK = timedelta(days=7)

_DEPLOYMENTS = {role.public_id: role for role in DEPLOYMENTS}
_UNREACHABLE = 0.9
"""Failure rate from which clients retry and the router then fails over."""
_ATTEMPTS = 3
_PENDING = Outcome(status=RequestStatus.PENDING)
_BATCH_TASK = "extraction"
_BATCH_DOCUMENT = Task(prompt_tokens=22_000, completion_tokens=60, pace=1.0)
_BATCH_LASTS = timedelta(hours=6)
_BATCH_BUDGET_SHARE = Decimal("0.96")
"""Share of its daily budget that the batch user has spent when the batch ends, within one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request as logged, with names instead of database ids."""

    public_id: str
    created_at: datetime
    user: UserRole
    deployment: str
    task_type: str
    router_version: str
    routing_reason: dict[str, Any]
    outcome: Outcome
    endpoint: str

    @property
    def ended_at(self) -> datetime:
        """Time of its outcome; while it is pending, the time it was made."""
        return self.created_at + timedelta(milliseconds=self.outcome.latency_ms or 0)

    @property
    def record(self) -> RequestRecord:
        """What the gateway's log says about it."""
        model, backend = self.deployment.split("/")
        outcome = self.outcome
        return RequestRecord(
            id=self.public_id,
            created_at=self.created_at,
            user=self.user.public_id,
            tier=self.user.tier,
            model=model,
            backend=backend,
            status=outcome.status,
            error_code=outcome.error_code,
            latency_ms=outcome.latency_ms,
            cost_usd=outcome.cost_usd,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            endpoint=self.endpoint,
            task_type=self.task_type,
            router_version=self.router_version,
            routing_reason=self.routing_reason,
        )


def week_of_requests(seed: int, anchor: datetime, disturbances: Disturbances) -> list[Exchange]:
    """Generate all requests of the seven days before the anchor, oldest first."""
    gateway = _Gateway(seed, anchor, disturbances)
    exchanges = [
        exchange for moment, user in _asked(seed, anchor) for exchange in gateway.handle(moment, user)
    ]
    exchanges += _batch(seed, gateway, exchanges)
    made = [exchange for exchange in exchanges if exchange.created_at < anchor]
    return sorted(made, key=lambda exchange: (exchange.created_at, exchange.public_id))


def _asked(seed: int, anchor: datetime) -> list[tuple[datetime, UserRole]]:
    """Draw the times at which users send requests, in order."""
    asked = [
        (moment, user)
        for user in USERS
        for moment in arrivals(
            stream(seed, f"arrivals of {user.public_id}"),
            user.weekly_requests,
            anchor - WEEK,
            anchor,
            user.daily_swing,
        )
    ]
    return sorted(asked, key=lambda sent: (sent[0], sent[1].public_id))


class _Gateway:
    """Routes and answers requests; call it in chronological order."""

    def __init__(self, seed: int, anchor: datetime, disturbances: Disturbances) -> None:
        self.anchor = anchor
        self._disturbances = disturbances
        self._chance = stream(seed, "gateway")
        self._slow = {
            (name, tier): steady_normals(stream(seed, f"latency of {name} for {tier}"))
            for name in _DEPLOYMENTS
            for tier in Tier
        }

    def handle(self, moment: datetime, user: UserRole) -> Iterator[Exchange]:
        """Yield a request and, if its deployment is unreachable, the retries."""
        task = pick(self._chance, TASK_MIX[user.tier])
        route = choose(self._chance, user, router_at(moment, self.anchor))
        if self._disturbances.at(route.deployment, moment).failing < _UNREACHABLE:
            yield self.log(moment, route, task, self._outcome(moment, route, TASKS[task]))
            return
        for attempt in range(1, _ATTEMPTS + 1):
            again = route.again(attempt)
            yield self.log(moment, again, task, self._outcome(moment, again, TASKS[task]))
            moment += timedelta(milliseconds=self._chance.randint(400, 900) * 2**attempt)
        rescue = failover(route, _ATTEMPTS + 1)
        yield self.log(moment, rescue, task, self._outcome(moment, rescue, TASKS[task]))

    def _outcome(self, moment: datetime, route: Route, task: Task) -> Outcome:
        effect = self._disturbances.at(route.deployment, moment)
        return failure(self._chance, effect) or answer(
            self._chance,
            _DEPLOYMENTS[route.deployment],
            task,
            slow=next(self._slow[route.deployment, route.user.tier]),
            disturbed=effect.latency_factor,
            waiting=route.router.slowdown(route.user, route.deployment),
        )

    def log(
        self,
        moment: datetime,
        route: Route,
        task_type: str,
        outcome: Outcome,
        *,
        endpoint: str | None = None,
    ) -> Exchange:
        """Return the request as logged at the anchor: one that ends later is pending."""
        ends_at = moment + timedelta(milliseconds=outcome.latency_ms or 0)
        return Exchange(
            public_id=f"req_{self._chance.getrandbits(64):016x}",
            created_at=moment,
            user=route.user,
            deployment=route.deployment,
            task_type=task_type,
            router_version=route.router.version,
            routing_reason=route.reason(outcome.queue_ms),
            outcome=outcome if ends_at <= self.anchor else _PENDING,
            endpoint=endpoint or route.user.endpoint,
        )


def _batch(seed: int, gateway: _Gateway, ordinary: Sequence[Exchange]) -> list[Exchange]:
    """Generate long documents of one user until its budget of the day is nearly spent.

    The day is the UTC day that the anchor's last minute belongs to, however young that day is.
    """
    anchor = gateway.anchor
    day = (anchor - timedelta(minutes=1)).replace(hour=0, minute=0, second=0)
    spent = sum(
        (sent.outcome.cost_usd for sent in ordinary if sent.user is BATCH_USER and sent.created_at >= day),
        Decimal(0),
    )
    chance = stream(seed, "batch")
    slow = steady_normals(chance)
    deployment = _DEPLOYMENTS[next(iter(BATCH_USER.routes))]
    outcomes: list[Outcome] = []
    while spent < BATCH_USER.daily_budget_usd * _BATCH_BUDGET_SHARE:
        outcomes.append(
            answer(chance, deployment, _BATCH_DOCUMENT, slow=next(slow), disturbed=1.0, waiting=1.0)
        )
        spent += outcomes[-1].cost_usd
    moments = arrivals(chance, len(outcomes), max(day, anchor - _BATCH_LASTS), anchor, 0)
    return [
        gateway.log(
            moment,
            _batch_route(moment, anchor, deployment.public_id),
            _BATCH_TASK,
            outcome,
            endpoint=BATCH_ENDPOINT,
        )
        for moment, outcome in zip(moments, outcomes, strict=True)
    ]


def _batch_route(moment: datetime, anchor: datetime, deployment: str) -> Route:
    return Route(
        router=router_at(moment, anchor),
        user=BATCH_USER,
        deployment=deployment,
        policy="tier-affinity",
        why="the client named the model",
    )
