"""A request comes with everything that explains it and was known at the moment asked about."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from context_builder.queries import NotFound, RequestDetail, query_session, request_detail
from context_builder.question.request import QuestionError
from models import Request
from models.quality_log import NewScore, append
from tests.support.bounded_plans import planning, unbounded
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway
from tests.support.statements import captured

pytestmark = pytest.mark.asyncio(loop_scope="session")

TINY = timedelta(microseconds=1)


async def detail(gateway: Gateway, name: str, as_of: datetime | None = NOON) -> RequestDetail:
    async with query_session(gateway.database) as session:
        return await request_detail(session, name, as_of=as_of)


async def test_reason_and_score_are_told_once_they_are_known(gateway: Gateway) -> None:
    """The routing reason is as logged; the score appears from its arrival on."""
    await gateway.deployment()
    await gateway.user()
    reason = {"policy": "spill", "candidates": [{"deployment": "gpt-4/aws", "score": 0.25}], "note": "größer"}
    (name,) = await gateway.send(NOON - 2 * HOUR, routing_reason=reason)
    async with gateway.database.write() as session:
        number = (await session.scalars(select(Request.id))).one()
        score = NewScore(request_id=number, score=0.875, scorer="judge", scored_at=NOON - HOUR)
        await append(session, [score])
    told = await detail(gateway, name)
    assert told.routing_reason == reason
    assert told.quality is not None
    assert (told.quality.score, told.quality.scorer, told.quality.scored_at) == (0.875, "judge", NOON - HOUR)
    assert (told.request.id, told.request.user, told.request.tier) == (name, "user_a", "premium")
    assert (await detail(gateway, name, NOON - HOUR - TINY)).quality is None
    assert (await detail(gateway, name, None)).quality == told.quality


@pytest.mark.parametrize(
    ("target", "starts", "ends", "is_related"),
    [
        ("gpt-4/aws", 0, 0, False),
        ("gpt-4/aws", 0, 1, True),
        ("gpt-4/aws", -60, None, True),
        ("gpt-4", -60, 60, True),
        ("aws", -60, 60, True),
        ("gpt-4/k8s", -60, 60, False),
        ("gcp", -60, 60, False),
        (None, -60, 60, False),
        ("aws", 1, 60, False),
        ("aws", -60, 0, False),
    ],
)
async def test_the_incident_is_one_that_the_request_fell_into(
    gateway: Gateway, target: str | None, starts: int, ends: int | None, is_related: bool
) -> None:
    """The related incident affects deployment, model or backend and was open at the request."""
    await gateway.deployment("gpt-4/aws", "gpt-4/k8s", "llama/gcp")
    await gateway.user()
    at = NOON - 5 * HOUR
    (name,) = await gateway.send(at)
    await gateway.incident(
        target=target,
        started_at=at + starts * MINUTE,
        resolved_at=None if ends is None else at + ends * MINUTE,
        root_cause="a certificate had run out",
    )
    incident = (await detail(gateway, name)).incident
    assert (incident is not None) is is_related
    if incident is not None:
        assert incident.root_cause == (None if ends is None else "a certificate had run out")


async def test_of_several_incidents_the_nearest_then_the_worst_is_told(gateway: Gateway) -> None:
    """An incident of the deployment comes before one of its backend; its outcome is hidden until known."""
    number = await gateway.deployment("gpt-4/aws")
    await gateway.user()
    (name,) = await gateway.send(NOON - HOUR)
    span = {"started_at": NOON - DAY, "root_cause": "cause", "resolution": "fix"}
    await gateway.incident("inc_backend", target="aws", severity="critical", **span)
    found = (await detail(gateway, name)).incident
    assert found is not None
    assert found.id == "inc_backend"
    await gateway.incident("inc_low", target="gpt-4/aws", severity="low", **span)
    await gateway.incident(
        "inc_high", deployment_id=number, target="x", severity="high", resolved_at=NOON - MINUTE, **span
    )
    incident = (await detail(gateway, name)).incident
    assert incident is not None
    assert (incident.id, incident.root_cause, incident.resolution) == ("inc_high", "cause", "fix")
    incident = (await detail(gateway, name, NOON - 2 * MINUTE)).incident
    assert incident is not None
    assert (incident.id, incident.resolved_at) == ("inc_high", None)
    assert (incident.root_cause, incident.resolution) == (None, None)


async def test_a_request_that_is_not_there_is_unknown(gateway: Gateway) -> None:
    """An unknown or later request is not found, and similar names are listed."""
    await gateway.deployment()
    await gateway.user()
    await gateway.send(NOON - HOUR, NOON)
    with pytest.raises(NotFound, match="request 'req_00' is not known; known names include req_0"):
        await detail(gateway, "req_00")
    with pytest.raises(NotFound, match="request 'req_1' is not known"):
        await detail(gateway, "req_1", NOON - MINUTE)
    for wrong in ("", "\x00", "x" * 201):
        with pytest.raises(QuestionError, match="cannot be a name"):
            await detail(gateway, wrong)


async def test_the_log_is_read_by_key(busy: Gateway) -> None:
    """A name with odd characters is not found without an error in the search for similar names."""
    with captured(busy.database) as statements:
        await detail(busy, busy.sent[0].public_id)
        with pytest.raises(NotFound):
            await detail(busy, "req_none")
    async with planning(busy.database) as session:
        for statement in statements:
            if "requests" in statement[0]:
                assert await unbounded(session, statement) == [], statement[0]
