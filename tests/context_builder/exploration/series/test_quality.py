"""Quality signals have the scores received by as_of, in the hour of their requests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest
from sqlalchemy import select

from context_builder.exploration.series.quality import MIN_SCORES, quality_signals, whole_hours
from context_builder.exploration.series.signal import Signal
from context_builder.exploration.series.slices import Slice
from context_builder.exploration.series.timeline import Timeline
from context_builder.question.request import ContextRequest
from models import Request
from models.quality_log import NewScore, append
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

Scored = list[tuple[NewRequest, NewScore]]
SCORED_AT = (3 * MINUTE, 40 * MINUTE, 5 * HOUR)


async def scored(gateway: Gateway) -> Scored:
    """Create requests of two days, each scored minutes or hours later."""
    chance = random.Random(4)  # noqa: S311  test data
    await gateway.deployment("gpt-4/aws", "mistral/gcp")
    await gateway.user()
    await gateway.user("user_b", "budget")
    await gateway.append([
        gateway.request(
            NOON - 2 * DAY * chance.random(),
            user=chance.choice(("user_a", "user_b")),
            deployment=chance.choice(("gpt-4/aws", "mistral/gcp")),
            task_type=chance.choice(("chat", "code", None)),
        )
        for _ in range(600)
    ])  # fmt: skip
    async with gateway.database.write() as session:
        rows = (await session.execute(select(Request.public_id, Request.id))).all()
        ids = {row[0]: row[1] for row in rows}
        pairs = [
            (request, NewScore(
                request_id=ids[request.public_id], score=chance.random(), scorer="judge",
                scored_at=request.created_at + chance.choice(SCORED_AT),
            ))
            for request in gateway.sent
        ]  # fmt: skip
        await append(session, [score for _, score in pairs])
    return pairs


async def signals(gateway: Gateway, request: ContextRequest) -> dict[Slice, Signal]:
    """Load signals by slice, with the timeline of two days before the window."""
    async with rollups_of(gateway.database) as rollups:
        return dict(await quality_signals(rollups, request, Timeline.of(request.window, 2 * DAY)))


def hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def known(pairs: Scored, request: ContextRequest, tiers: Sequence[str]) -> Scored:
    """Return scores of requests in scope, of whole hours up to the window's end, received by as_of."""
    limit = hour(request.as_of) + (HOUR if request.is_now else 0 * HOUR)
    return [
        (one, score)
        for one, score in pairs
        if one.created_at < hour(request.window.end)
        and score.scored_at < limit
        and one.tier in tiers
        and one.deployment_id in (request.scope.deployment_ids or (one.deployment_id,))
    ]


async def test_signals_have_the_scores_received_by_as_of(gateway: Gateway) -> None:
    """Counts and sums by slice and hour agree at every moment, present or past."""
    pairs = await scored(gateway)
    ids = {number: name for name, number in gateway.deployments.items()}
    every, budget = ("premium", "budget"), ("budget",)
    for request, tiers in (
        (asking(), every),
        (asking(live=True), every),
        (asking(NOON - 7 * HOUR - 23 * MINUTE), every),
        (asking(until=NOON - 5 * HOUR - 31 * MINUTE), every),
        (asking(deployment_ids=gateway.id_of("mistral/gcp")), every),
        (asking(tiers=budget), budget),
        # Of single users no scores are known: theirs are those of their tier, as it is with traffic.
        (asking(user_ids=gateway.id_of("user_b")), budget),
        (asking(user_ids=gateway.id_of("user_b"), tiers=("premium",)), every),
    ):
        timeline = whole_hours(Timeline.of(request.window, 2 * DAY))
        found = await signals(gateway, request)
        assert Slice() in found
        for one, signal in found.items():
            mine = [
                (timeline.slot_of(r.created_at), score.score)
                for r, score in known(pairs, request, tiers)
                if one.value_of("deployment") in (None, ids[r.deployment_id])
                and one.value_of("task_type") in (None, r.task_type)
                and one.value_of("model") in (None, ids[r.deployment_id].partition("/")[0])
            ]
            slots = np.array([slot for slot, _ in mine])
            assert len(mine) >= MIN_SCORES
            assert list(signal.weight) == list(np.bincount(slots, minlength=timeline.slots))
            masses = np.bincount(slots, weights=[score for _, score in mine], minlength=timeline.slots)
            assert signal.mass == pytest.approx(masses, abs=1e-3)
            assert signal.noise.deviation == pytest.approx(3**-0.5 / 2, rel=0.15)


async def test_each_deployment_task_and_model_with_enough_scores_is_a_slice(gateway: Gateway) -> None:
    """Requests without a task type have no slice of their own."""
    await scored(gateway)
    names = {one.values for one in await signals(gateway, asking())}
    assert names == {
        (),
        (("deployment", "gpt-4/aws"),), (("deployment", "mistral/gcp"),),
        (("task_type", "chat"),), (("task_type", "code"),),
        (("model", "gpt-4"),), (("model", "mistral"),),
    }  # fmt: skip
    assert await signals(gateway, asking(NOON - 2 * DAY + 90 * MINUTE)) == {}
