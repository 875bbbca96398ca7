"""The gateway that the phrases are asked about: a fleet named in three styles, users, incidents, changes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.database import Database
from models.migrations import upgrade
from models.tables.schema import Table
from tests.support.gateway import Gateway
from tests.support.ops_events import config, job

SONNET, HAIKU = "claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022"
FLEET = (
    ("gpt-4", "aws", "us-east-1"),
    ("gpt-4", "gcp", "eu-west-1"),
    ("llama-70b", "aws", "us-east-1"),
    ("llama-70b", "k8s", "eu-central-1"),
    (SONNET, "anthropic", "us-east-1"),
    (SONNET, "bedrock", "eu-central-1"),
    (f"anthropic/{HAIKU}", "anthropic", "us-east-1"),
    (HAIKU, "bedrock", "eu-central-1"),
    ("meta-llama/Llama-3.3-70B-Instruct", "vllm", "ap-northeast-1"),
    ("gpt-4o", "azure", "eu-west-1"),
    ("gpt-4o", "openai", "us-east-1"),
    ("gpt-4o-mini", "azure", "eu-west-1"),
    ("gpt-4o-mini", "openai", "us-east-1"),
)
"""Model, backend and region."""
DEPLOYMENTS = tuple(f"{model}/{backend}" for model, backend, _ in FLEET)
REGIONS = {
    region: frozenset(f"{model}/{backend}" for model, backend, where in FLEET if where == region)
    for *_, region in FLEET
}
USERS = {
    "user_acme": "premium",
    "user_umbrella": "premium",
    "user_oscorp": "premium",
    "user_tyrell": "premium",
    "user_globex": "standard",
    "user_hooli": "standard",
    "user_soylent": "standard",
    "User_Wonka": "standard",
    "user_initech": "budget",
    "user_nakatomi": "budget",
    "user_wayne": "budget",
    "svc-batch-eval": "budget",
}
TIERS = ("premium", "standard", "budget")
INCIDENTS = {
    "inc_0098": ("claude-3-5-sonnet-20241022/bedrock", "2026-09-14T10:00", "2026-09-14T16:45"),
    "inc_0105": ("gpt-4o/azure", "2026-10-24T22:10", "2026-10-25T01:40"),
    "inc_0117": ("gpt-4/aws", "2026-11-24T02:05", "2026-11-24T03:35"),
    "inc_0118": ("llama-70b/k8s", "2026-11-29T11:20", ""),
}
"""Deployment, start and end; the last one is open."""
ROLLOUTS = {
    "job_0187": ("gpt-4o/azure", "v1.8.0 -> v1.9.0", "2026-10-12T09:00"),
    "job_0201": ("router", "v2.3.1 -> v2.4.0", "2026-11-24T16:00"),
    "job_0207": ("gpt-4/aws", "v3.0.2 -> v3.1.0", "2026-11-29T08:30"),
}
"""Target, what is rolled out and start."""
CONFIG_CHANGES = {"cfg_0030": "2026-11-23T09:00", "cfg_0031": "2026-11-28T21:15"}
ROUTER_VERSIONS = {"v2.3.1": "2026-11-20T06:00", "v2.4.0": "2026-11-24T16:00", "v2.5.0": "2026-11-27T14:00"}
"""When a request first bore each."""

_SINCE = datetime(2024, 1, 1, tzinfo=UTC)
_ROLLOUT_TAKES = timedelta(minutes=10)


def moment(text: str) -> datetime:
    """A moment in UTC, as the tables write it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def write_world(path: Path) -> Database:
    """Makes the database in a file; the caller closes it."""
    database = Database(f"sqlite:///{path}")
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    await upgrade(database)
    gateway = Gateway(database)
    for model, backend, region in FLEET:
        await gateway.deployment(
            f"{model}/{backend}", model=model, backend=backend, region=region, created_at=_SINCE
        )
    for user, tier in USERS.items():
        await gateway.user(user, tier, created_at=_SINCE, updated_at=_SINCE)
    for incident, (target, began, over) in INCIDENTS.items():
        ends = moment(over) if over else None
        about = {"target": target, "deployment_id": gateway.deployments[target]}
        await gateway.incident(incident, started_at=moment(began), resolved_at=ends, **about)
    await gateway.add(*_changes(gateway))
    for version, first in ROUTER_VERSIONS.items():
        seen = moment(first)
        await gateway.send(seen, seen + timedelta(hours=1), user="user_acme", router_version=version)
    return database


def _changes(gateway: Gateway) -> list[Table]:
    rows: list[Table] = []
    for name, (target, detail, began) in ROLLOUTS.items():
        start = moment(began)
        rows.append(
            job(
                name, target=target, deployment_id=gateway.deployments.get(target), detail=detail,
                status="succeeded", created_at=start, started_at=start, finished_at=start + _ROLLOUT_TAKES,
            )
        )  # fmt: skip
    drained = moment("2026-11-29T10:00")
    rows.append(job("job_0208", type="drain", target="llama-70b/aws", created_at=drained, started_at=drained))
    rows += [config(name, moment(at)) for name, at in CONFIG_CHANGES.items()]
    return rows
