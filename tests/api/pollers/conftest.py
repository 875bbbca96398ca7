"""Targets on 127.0.0.1, and pollers of a database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from api.pollers.fetching import Fetcher
from api.pollers.kinds import READERS
from api.pollers.poll import Findings, Poll
from api.pollers.runner import PollRunner
from api.pollers.targets import Target
from models import PollerKind
from models.database import Database
from tests.loopback.raw_upstream import RawUpstream, raw_upstream

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

MakeTarget = Callable[..., Target]
MakeRunner = Callable[..., PollRunner]
Read = Callable[..., Findings]


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


def target_of(kind: str = "status_page", url: str = "http://127.0.0.1:1", **values: Any) -> Target:
    subject = {"backend": "aws"} if kind == "status_page" else {"deployment": "llama/own"}
    return Target.model_validate(subject | values | {"kind": kind, "url": url})


@pytest.fixture
async def runner(database: Database) -> AsyncIterator[MakeRunner]:
    """Makes pollers with a clock of their own, which a test may set."""
    async with await asyncio.to_thread(Fetcher) as fetcher:
        chance = Random(1)  # noqa: S311  the same pauses in every run

        def make(*targets: Target, **options: Any) -> PollRunner:
            options.setdefault("clock", lambda: NOON)
            return PollRunner(database, targets, fetcher, chance=chance, **options)

        yield make


def read(
    target: Target, body: bytes = b"", memory: Mapping[str, Any] | None = None, **values: Any
) -> Findings:
    """What a kind makes of an answer; memory has to survive as JSON."""
    given: dict[str, Any] = {"at": NOON, "elapsed_ms": 12} | values
    poll = Poll(target=target, body=body, memory=memory or {}, **given)
    findings = READERS[PollerKind(target.kind)](poll)
    assert json.loads(json.dumps(findings.memory)) == findings.memory
    return findings


def page(*incidents: dict[str, Any], **values: Any) -> bytes:
    """A summary of a status page."""
    document = {
        "page": {"id": "p1", "name": "AWS"},
        "status": {"indicator": "none", "description": "All Systems Operational"},
        "components": [{"name": "API", "status": "operational"}],
        "incidents": incidents,
        "scheduled_maintenances": [],
    }
    return json.dumps(document | values).encode()


def incident(name: str = "x1", **changes: Any) -> dict[str, Any]:
    """An open incident, which began at 11:00."""
    return {
        "id": name,
        "name": f"Elevated errors {name}",
        "status": "investigating",
        "impact": "major",
        "created_at": "2026-11-20T11:00:00Z",
        "components": [{"name": "API"}],
        "incident_updates": [{"body": "We are looking into it."}],
    } | changes
