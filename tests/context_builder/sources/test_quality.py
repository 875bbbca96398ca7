"""Mean quality of arrived scores, with coverage and significant drops."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from context_builder.source import Section, Status
from context_builder.sources.quality import MIN_SCORES, source
from models import Request
from models.quality_log import NewScore, append
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking, people

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


async def score(
    gateway: Gateway, at: datetime, scores: list[float], *, arrived: datetime | None = None, **columns: str
) -> None:
    """Send one successful request per score, which arrives an hour later."""
    public_ids = await gateway.send(*[at] * len(scores), **columns)
    async with gateway.database.write() as session:
        rows = await session.execute(
            select(Request.public_id, Request.id).where(Request.public_id.in_(public_ids))
        )
        ids = {row.public_id: row.id for row in rows}
        await append(
            session,
            [
                NewScore(request_id=ids[name], score=value, scorer="judge", scored_at=arrived or at + HOUR)
                for name, value in zip(public_ids, scores, strict=True)
            ],
        )


def about(section: Section, start: str) -> str:
    (found,) = [fact.text for fact in section.facts if fact.text.startswith(start)]
    return found


async def test_a_drop_that_is_no_chance_ranks_first(gateway: Gateway) -> None:
    """Means, counts, coverage and the difference are exact, by model, task type and deployment."""
    await people(gateway)
    await score(gateway, NOON - 3 * DAY, [0.8, 0.9] * 30, task_type="code")
    await score(gateway, NOON - 5 * HOUR, [0.6, 0.7] * 20, task_type="code")
    await score(gateway, NOON - 3 * DAY, [0.5, 0.7] * 30, deployment="mistral/gcp", task_type="chat")
    await score(gateway, NOON - 5 * HOUR, [0.5, 0.7] * 20, deployment="mistral/gcp", task_type="chat")
    await gateway.send(*[NOON - 5 * HOUR] * 40, task_type="code")
    section = await gateway.read(source)
    assert section.header == (
        "requests of 2026-03-09 12:00 to 2026-03-10 12:00: mean quality 0.625 over 80 scores (66.7 % of "
        "120 answered requests); the 7 days before: mean quality 0.725 over 120 scores (100 % of 120 "
        "answered requests)"
    )
    assert [fact.text.split(":")[0] for fact in section.facts] == [
        "model gpt-4",
        "task type code",
        "deployment gpt-4/aws",
        "model mistral",
        "task type chat",
        "deployment mistral/gcp",
    ]
    assert about(section, "model gpt-4") == (
        "model gpt-4: mean quality 0.650 over 40 scores (50.0 % of 80 answered requests); the 7 days before: "
        "mean quality 0.850 over 60 scores (100 % of 60 answered requests); down 0.200, significant"
    )
    assert "chance" not in about(section, "model mistral")
    assert section.facts[0].short == ("model gpt-4: mean quality 0.650, DOWN 0.200 from the 7 days before")


async def test_noise_is_no_drop(gateway: Gateway) -> None:
    """A difference within three standard errors or below 0.03 is not significant."""
    await people(gateway)
    chance = random.Random(5)  # noqa: S311  test data
    await score(gateway, NOON - 3 * DAY, [chance.random() for _ in range(40)])
    await score(gateway, NOON - 5 * HOUR, [chance.random() for _ in range(25)])
    await score(gateway, NOON - 3 * DAY, [0.80] * 40, deployment="mistral/gcp")
    await score(gateway, NOON - 5 * HOUR, [0.78] * 40, deployment="mistral/gcp")
    section = await gateway.read(source)
    assert section.facts
    assert "chance" not in str(section)
    assert about(section, "model mistral").endswith("down 0.020")


async def test_few_scores_are_not_compared_and_low_coverage_is_told(gateway: Gateway) -> None:
    """Low coverage is marked, since scores arrive late."""
    await people(gateway)
    await score(gateway, NOON - 3 * DAY, [0.9, 0.8] * 20)
    await score(gateway, NOON - 5 * HOUR, [0.2] * (MIN_SCORES - 1))
    section = await gateway.read(source)
    assert about(section, "model gpt-4").endswith("too few scores to compare")
    assert section.facts[0].importance < 0.5
    await score(gateway, NOON - 5 * HOUR, [0.2])
    await gateway.send(*[NOON - 4 * HOUR] * 60)
    section = await gateway.read(source)
    told = about(section, "model gpt-4")
    assert "(25.0 % of 80 answered requests)" in told
    assert told.endswith("significant; LOW coverage, most scores may still arrive")


async def test_only_what_had_arrived_is_known(gateway: Gateway) -> None:
    """The hour in progress counts only in the present."""
    await people(gateway)
    as_of = NOON + 20 * MINUTE
    await score(gateway, NOON - 5 * HOUR, [0.8] * 3, arrived=NOON - SECOND)
    await score(gateway, NOON - 5 * HOUR, [0.1] * 4, arrived=NOON + 10 * MINUTE)
    past = await gateway.read(source, asking(as_of))
    assert "0.800 over 3 scores (42.9 % of 7 answered requests)" in past.header
    now = await gateway.read(source, asking(as_of, live=True))
    assert "over 7 scores (100 % of 7 answered requests)" in now.header
    await score(gateway, NOON - 5 * HOUR, [0.1] * 9, arrived=as_of + HOUR)
    assert "0.800 over 3 scores (18.8 % of 16 answered" in (await gateway.read(source, asking(as_of))).header


async def test_scope_and_unknown_tiers(gateway: Gateway) -> None:
    """Scope restricts deployments and tiers; scores with an unknown tier are a gap."""
    await people(gateway)
    await gateway.user("user_new", "premium", updated_at=NOON)
    await score(gateway, NOON - 5 * HOUR, [0.8] * 3)
    await score(gateway, NOON - 5 * HOUR, [0.3] * 3, user="user_d")
    await score(gateway, NOON - 5 * HOUR, [0.3] * 2, user="user_new")
    await score(gateway, NOON - 5 * HOUR, [0.3] * 3, deployment="mistral/gcp")
    section = await gateway.read(
        source, asking(tiers=("premium",), deployment_ids=gateway.id_of("gpt-4/aws"))
    )
    assert "0.800 over 3 scores" in section.header
    assert section.gaps == ("2 scores of users whose tier or budget changed since",)


async def test_nothing_scored_is_empty(gateway: Gateway) -> None:
    """Missing scores, now or before, are reported as such."""
    await people(gateway)
    await gateway.send(NOON - HOUR)
    section = await gateway.read(source)
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert section.header.startswith("no quality scores had arrived for requests of 2026-03-09 12:00")
    await score(gateway, NOON - 3 * DAY, [0.5])
    section = await gateway.read(source)
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert "no scores of 1 answered request; the 7 days before: mean quality 0.500" in section.header
