"""The status of each deployment is its last report, if that report counts for the moment asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from context_builder.queries import DeploymentFilter, DeploymentPage, Page, deployment_status, query_session
from context_builder.queries.page import FIRST_PAGE
from context_builder.question.request import QuestionError
from context_builder.telemetry.fleet import STALE_AFTER
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_NOON = DeploymentFilter(as_of=NOON)


async def states(
    gateway: Gateway, filters: DeploymentFilter = AT_NOON, page: Page = FIRST_PAGE
) -> DeploymentPage:
    async with query_session(gateway.database) as session:
        return await deployment_status(session, filters, page)


async def test_a_report_is_told_as_it_was_made(gateway: Gateway) -> None:
    """A fresh report comes with reason and start and is not stale."""
    since = NOON - HOUR
    await gateway.deployment(
        "gpt-4/aws", status="down", status_reason="probes failed", status_since=since, capacity_rpm=600
    )
    (state,) = (await states(gateway)).deployments
    assert (state.id, state.model, state.backend) == ("gpt-4/aws", "gpt-4", "aws")
    assert (state.status, state.reason, state.since) == ("down", "probes failed", since)
    assert (state.reported_at, state.stale, state.overwritten) == (NOON - MINUTE, False, False)
    assert state.capacity_rpm == 600


@pytest.mark.parametrize(
    ("reported", "status", "stale", "overwritten"),
    [
        (NOON - STALE_AFTER, "degraded", False, False),
        (NOON - STALE_AFTER - MINUTE, "degraded", True, False),
        (NOON + MINUTE, "unknown", False, True),
        (None, "unknown", False, False),
    ],
    ids=["fresh", "stale", "of later", "never"],
)
async def test_what_a_report_is_worth_at_a_past_moment(
    gateway: Gateway, reported: datetime | None, status: str, stale: bool, overwritten: bool
) -> None:
    """A report is stale after STALE_AFTER and unknown if later or missing; the filter agrees."""
    await gateway.deployment("gpt-4/aws", status="degraded", status_reason="slow", updated_at=reported)
    (state,) = (await states(gateway)).deployments
    assert (state.status, state.stale, state.overwritten) == (status, stale, overwritten)
    assert (state.reason is None) is (status == "unknown")
    for wanted in ("degraded", "unknown"):
        found = (await states(gateway, DeploymentFilter(statuses=(wanted,), as_of=NOON))).deployments
        assert len(found) == (wanted == status)


async def test_now_a_clock_that_is_a_little_ahead_is_believed(gateway: Gateway) -> None:
    """A report at most a minute ahead of our clock still counts."""
    now = datetime.now(UTC)
    await gateway.deployment("a/x", status="down", updated_at=now + timedelta(seconds=40))
    await gateway.deployment("b/x", status="down", updated_at=now + timedelta(minutes=10))
    page = await states(gateway, DeploymentFilter())
    assert {one.id: one.status for one in page.deployments} == {"a/x": "down", "b/x": "unknown"}


async def test_deployments_of_later_are_not_there(gateway: Gateway) -> None:
    """A deployment that did not exist yet is neither listed nor known by name."""
    await gateway.deployment("gpt-4/aws")
    await gateway.deployment("gpt-4/k8s", created_at=NOON + MINUTE)
    assert [one.id for one in (await states(gateway)).deployments] == ["gpt-4/aws"]
    with pytest.raises(QuestionError, match="deployment 'gpt-4/k8s' is not known; known names include"):
        await states(gateway, DeploymentFilter(deployments=("gpt-4/k8s",), as_of=NOON))


async def test_pages_hold_each_once_while_others_are_added(gateway: Gateway) -> None:
    """Pages list each deployment that matches model and backend once, newest first."""
    wanted = [f"gpt-4/b{number:03}" for number in range(25)]
    await gateway.deployment(*wanted, "llama/b000")
    seen: list[str] = []
    filters = DeploymentFilter(models=("gpt-4",), as_of=NOON)
    page = await states(gateway, filters, Page(limit=10))
    while True:
        seen += [one.id for one in page.deployments]
        if page.next is None:
            break
        await gateway.deployment(f"gpt-4/new{len(seen)}")
        page = await states(gateway, filters, Page(limit=10, cursor=page.next))
    assert seen == wanted[::-1]


async def test_an_unknown_status_is_refused(gateway: Gateway) -> None:
    """The error lists names that exist."""
    with pytest.raises(QuestionError, match="status 'ill' is not known; known names include"):
        await states(gateway, DeploymentFilter(statuses=("ill",)))
