"""Incident history lists every incident as it was known at the moment asked about."""

from __future__ import annotations

from typing import Any

import pytest

from context_builder.queries import HistoryFilter, HistoryPage, Page, incident_history, query_session
from context_builder.queries.page import FIRST_PAGE
from context_builder.question.request import QuestionError
from models import Postmortem
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def history(gateway: Gateway, page: Page = FIRST_PAGE, **filters: Any) -> HistoryPage:
    async with query_session(gateway.database) as session:
        return await incident_history(session, HistoryFilter(**({"as_of": NOON} | filters)), page)


def names(page: HistoryPage) -> list[str]:
    return [one.id for one in page.incidents]


async def test_nothing_of_later_is_told(gateway: Gateway) -> None:
    """An incident is resolved from its resolution time on; before that its cause is unknown."""
    texts = {"root_cause": "Quota", "resolution": "Raised it"}
    await gateway.incident("inc_over", started_at=NOON - HOUR, resolved_at=NOON, provenance="import", **texts)
    await gateway.incident("inc_later_over", started_at=NOON - 2 * HOUR, resolved_at=NOON + MINUTE, **texts)
    await gateway.incident("inc_of_later", started_at=NOON + MINUTE)
    await gateway.incident("inc_forgotten", started_at=NOON - 3 * HOUR, forgotten_at=NOON)
    over, going_on = (await history(gateway)).incidents
    assert (over.id, over.status, over.resolved_at, over.root_cause) == (
        "inc_over",
        "resolved",
        NOON,
        "Quota",
    )
    assert (over.provenance, over.review) == ("import", "approved")
    assert (going_on.id, going_on.status) == ("inc_later_over", "active")
    assert (going_on.resolved_at, going_on.root_cause, going_on.resolution) == (None, None, None)
    assert names(await history(gateway, statuses=("active",))) == ["inc_later_over"]
    assert names(await history(gateway, statuses=("resolved",))) == ["inc_over"]
    assert names(await history(gateway, statuses=("resolved", "active"))) == ["inc_over", "inc_later_over"]


async def test_a_postmortem_is_told_from_when_it_was_written(gateway: Gateway) -> None:
    """A postmortem appears with its status; an incident without one has None."""
    for name, written_at in (("inc_a", NOON), ("inc_b", NOON + MINUTE)):
        number = await gateway.incident(name, started_at=NOON - DAY, resolved_at=NOON - HOUR)
        await gateway.add(
            Postmortem(
                incident_id=number, provenance="model", markdown="# x", summary="", created_at=written_at
            )
        )
    await gateway.incident("inc_c", started_at=NOON - DAY)
    page = await history(gateway)
    assert {one.id: one.postmortem for one in page.incidents} == {
        "inc_a": "draft",
        "inc_b": None,
        "inc_c": None,
    }


async def test_filters_go_together_and_pages_hold_each_once(gateway: Gateway) -> None:
    """Pages by start, severity and target stay correct while rows are added."""
    wanted = []
    for number in range(20):
        wanted.append(f"inc_{number}")
        started = NOON - (20 - number) // 7 * MINUTE
        await gateway.incident(wanted[-1], severity="low", target="a/b", started_at=started)
        await gateway.incident(f"inc_bad_{number}", severity="critical", target="a/b", started_at=started)
        await gateway.incident(f"inc_else_{number}", severity="low", target="a", started_at=started)
    await gateway.incident("inc_early", severity="low", target="a/b", started_at=NOON - HOUR)
    chosen = {"severities": ("low",), "targets": ("a/b",), "since": NOON - 3 * MINUTE}
    seen: list[str] = []
    page = await history(gateway, Page(limit=6), **chosen)
    while True:
        seen += names(page)
        if page.next is None:
            break
        await gateway.incident(f"inc_new_{len(seen)}", severity="low", target="a/b", started_at=NOON)
        page = await history(gateway, Page(limit=6, cursor=page.next), **chosen)
    assert seen == wanted[::-1]
    until = NOON - 3 * MINUTE
    assert names(await history(gateway, targets=("a/b",), until=until)) == ["inc_early"]
    with pytest.raises(QuestionError, match="with other filters"):
        await history(gateway, Page(cursor=(await history(gateway, Page(limit=6))).next), **chosen)


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"statuses": ("over",)}, "status 'over' is not known; known names include"),
        ({"severities": ("bad",)}, "severity 'bad' is not known"),
        ({"targets": ("a\0",)}, "cannot be a name"),
        ({"targets": ("a",) * 101}, "at most 100 are accepted"),
        ({"since": NOON, "until": NOON}, "since must be before until"),
        ({"since": NOON.replace(tzinfo=None)}, "has no time zone"),
        ({"as_of": NOON + 4000 * DAY}, "is in the future"),
    ],
)
async def test_a_filter_that_cannot_be_used_is_named(
    gateway: Gateway, filters: dict[str, Any], said: str
) -> None:
    """The error is one line and says what is accepted."""
    with pytest.raises(QuestionError, match=said) as caught:
        await history(gateway, **filters)
    assert "\n" not in str(caught.value)
