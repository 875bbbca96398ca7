"""The database that a world's gateway would have filled by the moment asked about."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np

from models import Deployment, ErrorLog, HealthCheck, StateTransition, User, quality_log
from models.database import Database
from models.migrations import upgrade
from models.quality_log import NewScore
from models.request_log import NewRequest, append
from models.tables.schema import Table
from tests.evaluation.worlds.calls import Calls
from tests.evaluation.worlds.gateway import TASKS, Served
from tests.evaluation.worlds.kinds.broken import LOG_LINES
from tests.evaluation.worlds.plan import DAY, Plan
from tests.evaluation.worlds.world import World

_BATCH = 10_000
_CHECKED_EVERY = 300.0


async def write(path: Path, world: World) -> Database:
    """Make the database of a world; the caller closes it."""
    database = Database(f"sqlite:///{path}", connections=16)
    await upgrade(database)
    plan, calls = world.plan, world.calls
    async with database.write() as session:
        session.add_all(_deployment(plan, served) for served in plan.gateway.served)
        session.add_all(_users(plan))
        await session.flush()
        ids: dict[str, int] = {}
        for first in range(0, len(calls.at), _BATCH):
            rows = [_request(calls, n) for n in range(first, min(first + _BATCH, len(calls.at)))]
            ids |= await append(session, rows)
        session.add_all(plan.rows)
        session.add_all(_log_lines(calls))
        session.add_all(_health(plan))
    async with database.write() as session:
        await quality_log.append(session, _scores(calls, ids))
    return database


def _deployment(plan: Plan, served: Served) -> Deployment:
    gateway, is_down = plan.gateway, plan.down.get(served.name)
    down = is_down is not None and is_down(_last_check(plan))
    return Deployment(
        id=plan.id_of(served.name), public_id=served.name, model=served.model, backend=served.backend,
        region=served.region, version="2.8.1", capacity_rpm=600, status="down" if down else "healthy",
        status_reason="no answer" if down else "checks pass", status_since=gateway.start,
        last_seen_at=gateway.moment(_last_check(plan)), created_at=gateway.start,
        updated_at=gateway.moment(_last_check(plan)),
    )  # fmt: skip


def _last_check(plan: Plan) -> float:
    return (plan.now - 1) // _CHECKED_EVERY * _CHECKED_EVERY


def _users(plan: Plan) -> Iterator[User]:
    start = plan.gateway.start
    for n, customer in enumerate(plan.gateway.customers):
        yield User(
            id=n + 1, public_id=customer.name, tier=customer.tier, role="service", created_at=start,
            updated_at=start,
        )  # fmt: skip


def _request(calls: Calls, n: int) -> NewRequest:
    gateway = calls.gateway
    status, code = calls.outcomes[calls.outcome[n]]
    return NewRequest(
        public_id=f"req_{n:06d}",
        created_at=gateway.start + np.timedelta64(int(calls.at[n] * 1000), "ms").item(),
        user_id=int(calls.user[n]) + 1,
        deployment_id=int(calls.served[n]) + 1,
        tier=gateway.customers[calls.user[n]].tier,
        status=status,
        error_code=code or None,
        latency_ms=int(calls.latency_ms[n]),
        cost_usd=Decimal(f"{calls.cost_usd[n]:.9f}"),
        prompt_tokens=int(calls.prompt[n]),
        completion_tokens=0 if code else int(calls.completion[n]),
        endpoint="/v1/chat/completions",
        task_type=TASKS[calls.task[n]],
        router_version="r12",
    )


def _scores(calls: Calls, ids: dict[str, int]) -> list[NewScore]:
    return [
        NewScore(
            request_id=ids[f"req_{n:06d}"], score=round(float(calls.score[n]), 3), scorer="rubric-1",
            scored_at=calls.gateway.moment(calls.scored_at[n]),
        )
        for n in np.nonzero(~np.isnan(calls.score))[0]
    ]  # fmt: skip


def _log_lines(calls: Calls) -> Iterator[Table]:
    """Every other failure leaves a line."""
    for n in np.nonzero(calls.failed)[0][::2]:
        _, code = calls.outcomes[calls.outcome[n]]
        served = int(calls.served[n])
        yield ErrorLog(
            logged_at=calls.gateway.moment(calls.at[n]), severity="error", deployment_id=served + 1,
            target=calls.gateway.served[served].name,
            message=LOG_LINES[code].format(n=100 + int(calls.prompt[n]) % 900),
        )  # fmt: skip


def _health(plan: Plan) -> Iterator[Table]:
    """What a prober saw in the last two days, and each change of it."""
    for n, served in enumerate(plan.gateway.served, start=1):
        is_down, before = plan.down.get(served.name), "healthy"
        for at in np.arange(plan.now // DAY * DAY - DAY, _last_check(plan) + 1, _CHECKED_EVERY):
            status, moment = "down" if is_down and is_down(float(at)) else "healthy", plan.gateway.moment(at)
            yield HealthCheck(
                deployment_id=n, checked_at=moment, status=status,
                latency_ms=None if status == "down" else int(plan.chance.integers(20, 90)),
                error="no answer" if status == "down" else None,
            )  # fmt: skip
            if status != before:
                yield StateTransition(
                    deployment_id=n, changed_at=moment, from_status=before, to_status=status,
                    reason="health check",
                )  # fmt: skip
            before = status
