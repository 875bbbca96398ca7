"""Three days of a small gateway's even traffic, and the troubles that a test plants in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

from sqlalchemy import select

from models import Request
from models.database import Database
from models.quality_log import NewScore
from models.quality_log import append as append_scores
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway
from tests.support.ops_events import audit, config, job, transition

Plan = Callable[[NewRequest], Iterable[NewRequest]]
"""What becomes of a request that is sent usually: itself, something else, several or nothing."""
Score = Callable[[NewRequest], float]
"""The mean of the scores of such a request."""

DEPLOYMENTS = {"gpt-4/aws": 400, "llama-70b/k8s": 250, "mistral/gcp": 150}
"""Median latency in ms."""
USERS = {"user_a": "premium", "user_b": "standard", "user_c": "budget"}
EVERY = 20 * MINUTE
"""Each user sends AT_ONCE requests to each deployment so often."""
AT_ONCE = 4
PER_HOUR = AT_ONCE * 3
FINE_SINCE = NOON - 37 * HOUR
"""Before, each sends as many in one minute of every hour."""


def everything(request: NewRequest) -> Iterable[NewRequest]:
    """Nothing is planted."""
    return (request,)


def _is_hit(request: NewRequest, since: datetime, until: datetime | None, where: dict[str, object]) -> bool:
    inside = since <= request.created_at and (until is None or request.created_at < until)
    return inside and all(getattr(request, name) == value for name, value in where.items())


def slower(times: float, since: datetime, until: datetime | None = None, **where: Any) -> Plan:
    """Latencies of the requests with these values grow by a factor."""

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        latency = request.latency_ms or 0
        hit = _is_hit(request, since, until, where)
        yield replace(request, latency_ms=round(latency * times)) if hit else request

    return plan


def failing(share: float, since: datetime, until: datetime | None = None, **where: Any) -> Plan:
    """A share of the requests with these values times out."""
    chance = random.Random(7)  # noqa: S311  test data

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        hit = _is_hit(request, since, until, where) and chance.random() < share
        yield replace(request, status="timeout", error_code="504") if hit else request

    return plan


def surging(
    gateway: Gateway, times: int, since: datetime, until: datetime | None = None, **where: Any
) -> Plan:
    """So many times as many requests with these values, each as fast as by chance; none at all for 0."""
    chance = random.Random(9)  # noqa: S311  test data
    median = {gateway.deployments[name]: usual for name, usual in DEPLOYMENTS.items()}

    def latency(request: NewRequest) -> int:
        return round(median[request.deployment_id] * chance.lognormvariate(0, 0.3))

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        copies = times if _is_hit(request, since, until, where) else 1
        for number in range(copies):
            again = replace(request, public_id=f"{request.public_id}_{number}", latency_ms=latency(request))
            yield again if number else request

    return plan


def rolled_out(version: str, since: datetime, share: float) -> Plan:
    """A share of all requests is routed by a new version."""
    chance = random.Random(8)  # noqa: S311  test data

    def plan(request: NewRequest) -> Iterable[NewRequest]:
        hit = request.created_at >= since and chance.random() < share
        yield replace(request, router_version=version) if hit else request

    return plan


async def live(
    gateway: Gateway, *plans: Plan, score: Score | None = None, seed: int = 1, until: datetime = NOON
) -> None:
    """Lets three days of traffic go by; it stops before NOON at `until`."""
    requests = list(_usual(gateway, seed))
    for plan in plans:
        requests = [one for request in requests for one in plan(request)]
    await gateway.append([request for request in requests if request.created_at < until])
    if score:
        await _score(gateway, score, seed, until)


async def settle(gateway: Gateway) -> None:
    """Adds the deployments and users that traffic is between."""
    await gateway.deployment(*DEPLOYMENTS)
    for name, tier in USERS.items():
        await gateway.user(name, tier)


def _usual(gateway: Gateway, seed: int) -> Iterator[NewRequest]:
    chance = random.Random(seed)  # noqa: S311  test data
    for number, (deployment, user) in enumerate(product(DEPLOYMENTS, USERS)):
        offset = (1 + 2 * number) * MINUTE
        for start, at_once in _starts():
            for _ in range(at_once):
                failed = chance.random() < 0.01
                yield gateway.request(
                    start + offset + timedelta(seconds=chance.randrange(60)),
                    user=user,
                    deployment=deployment,
                    status="error" if failed else "success",
                    error_code="502" if failed else None,
                    latency_ms=round(DEPLOYMENTS[deployment] * chance.lognormvariate(0, 0.3)),
                    cost_usd=Decimal("0.002"),
                    task_type="chat",
                    router_version="v1",
                )


def _starts() -> Iterator[tuple[datetime, int]]:
    moment = NOON - 3 * DAY
    while moment < NOON:
        yield moment, PER_HOUR if moment < FINE_SINCE else AT_ONCE
        moment += HOUR if moment < FINE_SINCE else EVERY


def _drawn(mean: float, seed: str) -> float:
    """A score that does not depend on which others there are."""
    chance = random.Random(seed)  # noqa: S311  test data
    return min(1.0, max(0.0, chance.gauss(mean, 0.08)))


async def _score(gateway: Gateway, score: Score, seed: int, until: datetime) -> None:
    """Scores of all that were answered, half an hour later."""
    async with gateway.database.write() as session:
        rows = await session.execute(select(Request.public_id, Request.id))
        ids = {row.public_id: row.id for row in rows}
        await append_scores(
            session,
            [
                NewScore(
                    request_id=ids[request.public_id],
                    score=_drawn(score(request), f"{seed} {request.public_id}"),
                    scorer="judge",
                    scored_at=request.created_at + 30 * MINUTE,
                )
                for request in gateway.sent
                if request.status == "success" and request.created_at < until - 30 * MINUTE
            ],
        )


SLOW_SINCE = NOON - 5 * HOUR
"""From here on premium requests to gpt-4/aws take four times as long."""
FAILING_SINCE, FAILING_UNTIL = NOON - 11 * HOUR, NOON - 9 * HOUR
"""Between these, most requests to llama-70b/k8s time out."""
SURGE_SINCE, SURGE_UNTIL = NOON - 8 * HOUR, NOON - 6 * HOUR
"""Between these user_c sends eight times as much."""
WORSE_SINCE = NOON - 14 * HOUR
"""From here on the answers of mistral/gcp are scored much lower."""


async def troubled_gateway(database: Database, until: datetime = NOON) -> Gateway:
    """All four troubles in one gateway, of whose traffic and scores nothing is there after `until`."""
    gateway = Gateway(database)
    await settle(gateway)
    await _operations(gateway)
    slow, failed, worse = gateway.id_of("gpt-4/aws", "llama-70b/k8s", "mistral/gcp")
    await live(
        gateway,
        slower(4, SLOW_SINCE, deployment_id=slow, tier="premium"),
        failing(0.7, FAILING_SINCE, FAILING_UNTIL, deployment_id=failed),
        surging(gateway, 8, SURGE_SINCE, SURGE_UNTIL, user_id=gateway.id_of("user_c")[0]),
        score=lambda one: 0.5 if one.deployment_id == worse and one.created_at >= WORSE_SINCE else 0.85,
        until=until,
    )
    return gateway


async def _operations(gateway: Gateway) -> None:
    """What was done to the gateway: a cause of each trouble, something else, and what comes after NOON."""
    slow, failed = gateway.id_of("gpt-4/aws", "llama-70b/k8s")
    await gateway.add(
        config(
            "cfg_cause", SLOW_SINCE - 4 * MINUTE,
            target="gpt-4/aws", deployment_id=slow, parameter="max_batch", old_value="8", new_value="64",
        ),
        config("cfg_beside", SLOW_SINCE - 5 * HOUR, target="router", parameter="log_level"),
        job(
            "job_cause", target="llama-70b/k8s", deployment_id=failed, status="succeeded",
            created_at=FAILING_SINCE - 3 * MINUTE, started_at=FAILING_SINCE - 3 * MINUTE,
            finished_at=FAILING_UNTIL,
        ),
        audit("quota.raise", SURGE_SINCE - 2 * MINUTE, target="user_c", detail="to 900"),
        config("cfg_later", NOON + MINUTE, target="gpt-4/aws", deployment_id=slow, parameter="later"),
        job("job_later", status="queued", created_at=SLOW_SINCE, started_at=NOON + MINUTE),
        audit("later.done", NOON + timedelta(seconds=1), target="router"),
        transition(slow, at=NOON + MINUTE, reason="later"),
    )  # fmt: skip
    await gateway.incident("inc_later", title="later", started_at=NOON + MINUTE)
