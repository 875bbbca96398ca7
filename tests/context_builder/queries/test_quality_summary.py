"""Scores by model and task type, with their coverage at the moment asked about."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from context_builder.queries import Quality, TrafficFilter, quality_summary, query_session
from context_builder.question.request import QuestionError
from models import Request
from models.quality_log import NewScore, append
from models.request_log import NewRequest
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, people, traffic

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]


async def scored(gateway: Gateway) -> dict[str, tuple[float, datetime]]:
    """Send two days of traffic and score most successes hours later; return the scores by request."""
    chance = random.Random(5)  # noqa: S311  test data
    await people(gateway)
    await gateway.append(traffic(gateway, 9, [NOON - 2 * DAY * chance.random() for _ in range(600)]))
    given = {
        r.public_id: (round(chance.random(), 3), r.created_at + timedelta(minutes=chance.randint(30, 600)))
        for r in gateway.sent
        if r.status == "success" and chance.random() < 0.7
    }
    async with gateway.database.write() as session:
        rows = await session.execute(select(Request.public_id, Request.id))
        await append(
            session,
            [
                NewScore(request_id=number, score=given[name][0], scorer="judge", scored_at=given[name][1])
                for name, number in rows
                if name in given
            ],
        )
    return given


@pytest.mark.parametrize(
    ("since", "until", "as_of", "tiers"),
    [
        (NOON - 2 * DAY, NOON, None, ()),
        (NOON - 2 * DAY, NOON, NOON, ()),
        (NOON - 2 * DAY, NOON, NOON - 7 * HOUR - 20 * MINUTE, ("premium",)),
        (NOON - 30 * HOUR - 25 * MINUTE, NOON - 3 * HOUR + 59 * MINUTE, NOON, ("standard", "budget")),
    ],
    ids=["now", "then", "earlier", "ragged"],
)
async def test_every_figure_is_that_of_the_scores_given(
    gateway: Gateway, since: datetime, until: datetime, as_of: datetime | None, tiers: tuple[str, ...]
) -> None:
    """A past moment counts whole hours, and only scores of hours completed by then."""
    scores = await scored(gateway)
    filters = TrafficFilter(tiers=tiers, since=since, until=until, as_of=as_of)
    async with query_session(gateway.database) as session:
        summary = await quality_summary(session, filters)
    assert summary.since == since.replace(minute=0)
    assert summary.until == min(until, as_of or until).replace(minute=0)
    known = {
        name: score
        for name, (score, at) in scores.items()
        if as_of is None or at.replace(minute=0, second=0, microsecond=0) + HOUR <= as_of
    }
    sent = [
        r
        for r in gateway.sent
        if summary.since <= r.created_at < summary.until and (not tiers or r.tier in tiers)
    ]
    names = {number: name.split("/")[0] for name, number in gateway.deployments.items()}

    def check(told: Quality, belongs: Callable[[NewRequest], bool]) -> None:
        members = [r for r in sent if belongs(r)]
        values = [known[r.public_id] for r in members if r.public_id in known]
        assert told.requests == len(members)
        assert told.answered == sum(r.status == "success" for r in members)
        assert told.scored == len(values)
        assert told.coverage == (len(values) / len(members) if members else None)
        if values:
            assert told.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
            assert told.deviation == pytest.approx(statistics.pstdev(values), abs=1e-3)
        else:
            assert (told.mean, told.deviation) == (None, None)

    check(summary.overall, lambda _: True)
    assert {one.model for one in summary.by_model} == {names[r.deployment_id] for r in sent}
    for one in summary.by_model:
        check(one, partial(_is_of, names, one.model, None))
    for one in summary.by_task_type:
        check(one, partial(_is_of, names, None, one.task_type))
    for one in summary.by_model_and_task_type:
        check(one, partial(_is_of, names, one.model, one.task_type))
    assert sum(one.requests for one in summary.by_model_and_task_type) == len(sent)
    late = [at for name, (_, at) in scores.items() if name in known and name in {r.public_id for r in sent}]
    assert summary.newest_score_hour == max(late).replace(minute=0, second=0, microsecond=0)


async def test_nothing_scored_is_no_mean_and_less_than_an_hour_is_refused(gateway: Gateway) -> None:
    """Means without scores are None, and a window without a whole hour is rejected."""
    await people(gateway)
    await gateway.send(NOON - 2 * HOUR)
    async with query_session(gateway.database) as session:
        summary = await quality_summary(session, TrafficFilter(as_of=NOON))
        assert (summary.overall.requests, summary.overall.scored, summary.overall.coverage) == (1, 0, 0)
        assert (summary.overall.mean, summary.newest_score_hour) == (None, None)
        assert summary.until - summary.since == 7 * DAY
        with pytest.raises(QuestionError, match="contains no whole hour"):
            await quality_summary(session, TrafficFilter(since=NOON - 30 * MINUTE, as_of=NOON - MINUTE))


def _is_of(names: dict[int, str], model: str | None, task_type: str | None, sent: NewRequest) -> bool:
    return model in (None, names[sent.deployment_id]) and task_type in (None, sent.task_type or "")
