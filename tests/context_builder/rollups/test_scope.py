"""A question's scope chooses the rows of exactly its requests, and tells what rollups cannot."""

from __future__ import annotations

from typing import Any

import pytest

from context_builder.rollups.scope import rollup_scope
from context_builder.rollups.span import covering
from context_builder.rollups.table import REQUESTS
from models import User
from tests.support.gateway import HOUR, NOON, Gateway, asking
from tests.support.rollup_views import rollups_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _requests(gateway: Gateway, **scope: Any) -> tuple[int, tuple[str, ...]]:
    """Return the requests of the last day in a scope, and the gaps."""
    request = asking(**scope)
    async with rollups_of(gateway.database) as rollups:
        chosen = await rollup_scope(rollups, request)
        rows = chosen.of(await rollups.read(REQUESTS, *covering(request.window)))
        return int(rows["requests"].sum()), chosen.gaps


async def test_deployments_and_tiers_restrict_together(busy: Gateway) -> None:
    """An empty scope is everything; both are the requests of that tier on that deployment."""
    window = asking().window
    here = busy.id_of("gpt-4/aws", "mistral/gcp")
    expected = {
        (): busy.sent_in(window),
        here: [r for r in busy.sent_in(window) if r.deployment_id in here],
    }
    for deployments, sent in expected.items():
        assert (await _requests(busy, deployment_ids=deployments)) == (len(sent), ())
        premium = [r for r in sent if r.tier == "premium"]
        assert 0 < len(premium) < len(sent)
        assert await _requests(busy, deployment_ids=deployments, tiers=("premium",)) == (len(premium), ())


async def test_a_user_is_represented_by_the_tier_and_that_is_a_gap(busy: Gateway) -> None:
    """Figures cover the user's tier and any other tier in scope."""
    window = asking().window
    counted, gaps = await _requests(busy, user_ids=busy.id_of("user_a"))
    assert counted == len(busy.sent_in(window, tier="premium"))
    assert gaps == ("figures per user; those here cover all users of tier premium",)
    counted, gaps = await _requests(busy, user_ids=busy.id_of("user_a"), tiers=("budget",))
    assert counted == len(busy.sent_in(window, tier="premium")) + len(busy.sent_in(window, tier="budget"))
    assert gaps == ("figures per user; those here cover all users of tier budget, premium",)


async def test_a_tier_that_changed_later_is_not_used(gateway: Gateway) -> None:
    """No figures are better than those of the wrong tier."""
    await gateway.deployment()
    await gateway.user("user_a", "premium")
    await gateway.user("user_b", "standard")
    await gateway.send(NOON - HOUR, user="user_a")
    await gateway.send(NOON - HOUR, NOON - 2 * HOUR, user="user_b")
    await gateway.change(User, "user_a", tier="standard", updated_at=NOON + HOUR)
    counted, gaps = await _requests(gateway, user_ids=gateway.id_of("user_a"))
    assert counted == 0
    assert gaps == (
        "figures per user; those here cover all users of tier unknown",
        "the tier at this moment of user_a, whose tier or budget changed later",
    )
    counted, gaps = await _requests(gateway, user_ids=gateway.id_of("user_a", "user_b"))
    assert counted == 2
    assert "the tier at this moment of user_a" in gaps[1]
