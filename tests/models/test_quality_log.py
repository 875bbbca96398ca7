"""The quality rollups always match the scores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from models import QualityRollup, QualityScore
from models.database import Database
from models.quality_log import MILLION, NewScore, append
from models.request_log import append as append_requests
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.both_databases


async def scored(gateway: Gateway, number: int) -> list[NewScore]:
    """Append requests of two deployments and two hours; return a score for each."""
    await gateway.deployment("gpt-4/aws", "gpt-4/k8s")
    await gateway.user()
    requests = [
        gateway.request(NOON - HOUR + n * MINUTE, deployment=("gpt-4/aws", "gpt-4/k8s")[n % 2],
                        task_type=("chat", None)[n % 3 == 0], router_version="v1")
        for n in range(number)
    ]  # fmt: skip
    async with gateway.database.write() as session:
        ids = await append_requests(session, requests)
    return [
        NewScore(request_id=ids[request.public_id], score=(n % 11) / 10, scorer="judge",
                 scored_at=request.created_at + (n % 4) * HOUR)
        for n, request in enumerate(requests)
    ]  # fmt: skip


async def test_rollups_equal_the_scores_however_they_were_batched_or_repeated(database: Database) -> None:
    """Counts and sums agree with the raw scores; a request's second score changes nothing."""
    scores = await scored(Gateway(database), 120)
    for start, end in ((0, 50), (30, 120), (0, 120)):
        async with database.write() as session:
            await append(session, scores[start:end])
    async with database.write() as session:
        again = NewScore(request_id=scores[0].request_id, score=1.0, scorer="other", scored_at=NOON)
        assert await append(session, [again]) == 0
    async with database.read() as session:
        raw = (await session.execute(select(func.count(), func.sum(QualityScore.score)))).one()
        rolled = (
            await session.execute(
                select(
                    func.sum(QualityRollup.scores),
                    func.sum(QualityRollup.score_sum),
                    func.sum(QualityRollup.score_square_sum),
                )
            )
        ).one()
        late = await session.scalar(
            select(func.sum(QualityRollup.scores)).where(QualityRollup.scored_hour > NOON)
        )
    assert raw[0] == rolled[0] == 120
    assert float(rolled[1]) / MILLION == pytest.approx(float(raw[1]))
    assert float(rolled[2]) / MILLION == pytest.approx(sum(one.score**2 for one in scores), abs=1e-3)
    assert late == sum(one.scored_at >= NOON + HOUR for one in scores)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": 1.2}, "not between 0 and 1"),
        ({"score": float("nan")}, "not between 0 and 1"),
        ({"request_id": 999}, "request 999 is not in the log"),
        ({"scored_at": datetime(2020, 1, 1, tzinfo=UTC)}, "before it was made"),
    ],
)
async def test_a_score_that_cannot_be_is_refused_with_all_that_came_with_it(
    database: Database, change: dict[str, object], said: str
) -> None:
    """Law 10: the error says which score and why, and nothing is written."""
    scores = await scored(Gateway(database), 3)
    values = {"request_id": scores[0].request_id, "score": 0.5, "scorer": "judge", "scored_at": NOON + HOUR}
    wrong = NewScore(**values | change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        async with database.write() as session:
            await append(session, [*scores[1:], wrong])
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(QualityScore)) == 0


async def test_a_score_in_another_time_zone_counts_in_its_utc_hour(database: Database) -> None:
    """Scored hours are UTC, in whatever zone the scorer writes."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415  of this test only

    (score,) = await scored(Gateway(database), 1)
    local = (score.scored_at + timedelta(minutes=50)).astimezone(ZoneInfo("Asia/Kathmandu"))
    async with database.write() as session:
        await append(
            session, [NewScore(request_id=score.request_id, score=0.5, scorer="judge", scored_at=local)]
        )
    async with database.read() as session:
        assert await session.scalar(select(QualityRollup.scored_hour)) == NOON - HOUR
