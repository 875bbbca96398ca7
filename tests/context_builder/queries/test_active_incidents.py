"""Active incidents are those that had started and were not resolved at the moment asked about."""

from __future__ import annotations

from typing import Any

import pytest

from context_builder.queries import IncidentFilter, IncidentPage, Page, active_incidents, query_session
from context_builder.queries.page import FIRST_PAGE
from context_builder.question.request import QuestionError
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def active(gateway: Gateway, page: Page = FIRST_PAGE, **filters: Any) -> IncidentPage:
    async with query_session(gateway.database) as session:
        return await active_incidents(session, IncidentFilter(as_of=NOON, **filters), page)


def names(page: IncidentPage) -> list[str]:
    return [one.id for one in page.incidents]


async def test_what_was_resolved_later_is_active_and_of_later_is_not_there(gateway: Gateway) -> None:
    """An incident is active from the moment it starts until the moment it is resolved."""
    await gateway.incident("inc_over", started_at=NOON - 2 * HOUR, resolved_at=NOON)
    await gateway.incident("inc_later_over", started_at=NOON - HOUR, resolved_at=NOON + MINUTE)
    await gateway.incident("inc_open", started_at=NOON)
    await gateway.incident("inc_of_later", started_at=NOON + MINUTE)
    assert names(await active(gateway)) == ["inc_open", "inc_later_over"]


async def test_a_deployment_is_hit_through_its_model_and_backend(gateway: Gateway) -> None:
    """A deployment filter matches by id, model or backend; incidents of others are left out."""
    number = await gateway.deployment("gpt-4/aws")
    await gateway.deployment("llama/gcp")
    for at, (name, target) in enumerate(
        [("inc_model", "gpt-4"), ("inc_backend", "aws"), ("inc_name", "gpt-4/aws"), ("inc_else", "llama")]
    ):
        await gateway.incident(name, target=target, started_at=NOON - at * MINUTE)
    await gateway.incident("inc_id", target="the big one", deployment_id=number, started_at=NOON - HOUR)
    page = await active(gateway, deployment="gpt-4/aws")
    assert names(page) == ["inc_model", "inc_backend", "inc_name", "inc_id"]
    assert page.incidents[-1].deployment == "gpt-4/aws"
    assert names(await active(gateway, deployment="llama/gcp")) == ["inc_else"]
    with pytest.raises(QuestionError, match="known names include gpt-4/aws"):
        await active(gateway, deployment="gpt4/aws")


async def test_pages_hold_each_once_while_others_are_added(gateway: Gateway) -> None:
    """Pages list each incident of the requested severities once, newest first, even if many share a time."""
    wanted = []
    for number in range(20):
        wanted.append(f"inc_{number}")
        await gateway.incident(wanted[-1], severity="low", started_at=NOON - (20 - number) // 7 * MINUTE)
        await gateway.incident(f"inc_bad_{number}", severity="critical")
    seen: list[str] = []
    page = await active(gateway, Page(limit=6), severities=("low",))
    while True:
        seen += names(page)
        if page.next is None:
            break
        await gateway.incident(f"inc_new_{len(seen)}", severity="low", started_at=NOON)
        page = await active(gateway, Page(limit=6, cursor=page.next), severities=("low",))
    assert seen == wanted[::-1]
    with pytest.raises(QuestionError, match="with other filters"):
        await active(gateway, Page(cursor=(await active(gateway, Page(limit=6))).next), severities=("low",))
    with pytest.raises(QuestionError, match="severity 'bad' is not known"):
        await active(gateway, severities=("bad",))
