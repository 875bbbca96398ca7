"""Questions from public reports that were once misread, with the window and scope that they should have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from context_builder.question.lookups import Lookups
from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.question.resolve import resolve
from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = datetime(2026, 11, 24, 9, tzinfo=UTC)
ALL = ("claude-3-5-haiku-latest/anthropic-direct", "gpt-4/aws", "llama-70b/k8s")
SONNET = "anthropic/claude-3-5-sonnet-20241022/anthropic"


@pytest.fixture
def cases(repository: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the cases by their id."""
    path = repository.parent / "shared" / "data" / "cases" / "questions.jsonl"
    if not path.exists():
        pytest.skip(f"the reported questions are not at {path}")
    lines = path.read_text("utf-8").splitlines()
    return {case["id"]: case for case in map(json.loads, lines)}


async def _asked(gateway: Gateway, case: Mapping[str, Any]) -> ContextRequest:
    as_of = datetime.fromisoformat(case["as_of"])
    async with gateway.database.read() as session:
        ask = QuestionInput(question=case["question"], as_of=as_of)
        return await resolve(ask, Lookups.of(session), now=as_of + timedelta(days=30), default_budget=4_000)


async def test_reported_questions_are_understood(
    gateway: Gateway, cases: Mapping[str, Mapping[str, Any]]
) -> None:
    """Each has its window, both its sides or its complement, and nothing of it is left unused."""
    await gateway.deployment(*ALL, created_at=LONG_AGO)
    model, _, backend = SONNET.rpartition("/")
    await gateway.deployment(SONNET, model=model, backend=backend, created_at=LONG_AGO)
    await gateway.user("user_acme", created_at=LONG_AGO, updated_at=LONG_AGO)
    ended = STARTED + timedelta(hours=2)
    await gateway.incident("inc_0117", started_at=STARTED, resolved_at=ended, target="gpt-4/aws")
    found = {name: await _asked(gateway, case) for name, case in cases.items()}
    for name, case in cases.items():
        expected = case["expect"]
        if isinstance(expected, dict):
            bounds = [datetime.fromisoformat(expected[end]) for end in ("start", "end")]
            assert [found[name].window.start, found[name].window.end] == bounds, name
        assert found[name].not_used == (), name
    weeks, tuesdays = found["w7"].sides, found["w8"].sides
    assert [side.intervals[0].start.day for side in weeks] == [23, 16]
    assert [side.intervals[0].start.day for side in tuesdays] == [24, 17]
    assert (found["w11"].window.start, found["w11"].window.end) == (STARTED, ended)
    ids = gateway.deployments
    assert set(found["s1"].scope.deployment_ids) == {ids[n] for n in (SONNET, *ALL) if n != "gpt-4/aws"}
    assert found["s2"].scope.labels == ("all users but user_acme",)
    assert found["s3"].scope.tiers == ("standard", "budget")
    assert found["s4"].scope.deployment_ids == (ids[SONNET],)
    assert [request.unknown_names for request in found.values()] == [()] * len(found)
