"""`POST /v1/route` with `explain`: one model call, whose choice must be one that the policy allows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.services import Services
from context_builder.risk.policy.controller import RiskController
from context_builder.risk.policy.outcomes import Observed
from context_builder.spend.caps import remove_cap, set_cap
from context_builder.text.clock import utc_now
from models import AccountKind
from tests.loopback.behaviour import Behaviour, Fail, Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.paid import spent_and_reserved

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD, GOOD, OTHER = "a/x", "b/x", "c/x"


def post_table(services: Services, *deployments: str) -> None:
    """Let decisions read a table that acts, with one deployment ejected."""
    controller = RiskController(services.risk._chance, shadow=False)
    bad = {BAD: Observed(failures=50)}
    services.risk.board.post(controller.tick(utc_now(), dict.fromkeys((BAD, *deployments), 1.0), bad, {})[0])


@pytest.fixture(autouse=True)
def acting(service: FastAPI, messages_api: MessagesApi) -> Iterator[None]:
    """A table that acts, and an hour in which nothing was asked."""
    services = service.state.services
    post_table(services, GOOD, OTHER)
    before = services.routing_agent._per_hour, services.routing_agent._usd_per_hour
    services.routing_agent._attempts.clear()
    services.risk.is_fed = True  # no tick replaces the table
    yield
    services.routing_agent._per_hour, services.routing_agent._usd_per_hour = before


async def asked(client: httpx.AsyncClient, *candidates: str, **more: Any) -> dict[str, Any]:
    body = {"candidates": list(candidates or (BAD, GOOD, OTHER)), "explain": True, "tier": "premium"} | more
    response = await client.post("/v1/route", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def choosing(deployment: str) -> Reply:
    choice = {"deployment": deployment, "reason": "It has\nmost headroom."}
    return Reply(text=f"Here: {json.dumps(choice)}")


async def test_the_model_chooses_among_what_the_policy_allows(
    client: httpx.AsyncClient, messages_api: MessagesApi
) -> None:
    """One call without tools, which names no ejected candidate as one to choose."""
    calls = len(messages_api.messages)
    messages_api.script(choosing(OTHER))
    answer = await asked(client)
    assert (answer["deployment"], answer["decided_by"]) == (OTHER, "model")
    assert answer["explanation"] == "It has most headroom."
    assert answer["not_explained"] is None
    assert len(messages_api.messages) == calls + 1
    sent = messages_api.messages[-1].body
    assert "tools" not in sent
    offered = json.dumps(sent["messages"]).partition("as JSON")[2]
    assert OTHER in offered
    assert BAD not in offered


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (choosing(BAD), f"the model chose '{BAD}', which the policy does not allow"),
        (choosing("nobody"), "the model chose 'nobody', which the policy does not allow"),
        (Reply(text="I would take b/x."), "the model's reply was no choice"),
        (Reply(text='{"deployment": ["b/x"]}'), "the model's reply was no choice"),
        (Reply(text='{"deployment": "b/x", "reason": "cut'), "the model's reply was no choice"),
        (Fail(status=400, message="no"), "no"),
    ],
)
async def test_a_choice_that_cannot_be_used_leaves_the_decision_of_the_policy(
    client: httpx.AsyncClient, messages_api: MessagesApi, behaviour: Behaviour, said: str
) -> None:
    """The answer says why there is no explanation."""
    messages_api.script(behaviour)
    answer = await asked(client)
    assert answer["deployment"] in (GOOD, OTHER)
    assert answer["decided_by"] == "policy"
    assert answer["explanation"] is None
    assert said in answer["not_explained"]


async def test_no_secret_in_a_name_is_sent(
    client: httpx.AsyncClient, messages_api: MessagesApi, service: FastAPI
) -> None:
    """Law 7: in the question and among the candidates, whose names come from elsewhere."""
    secret = f"sk-ant-api03-{'Xy7' * 20}"
    post_table(service.state.services, secret)
    messages_api.script(choosing(secret))
    await asked(client, BAD, secret)
    sent = json.dumps(messages_api.messages[-1].body)
    assert "<SECRET:anthropic:" in sent.partition("as JSON")[2]
    assert "Xy7" not in sent


async def test_calls_are_bounded_by_count_and_by_cost(
    client: httpx.AsyncClient, messages_api: MessagesApi, service: FastAPI
) -> None:
    """Beyond either the policy decides, and nothing is sent."""
    agent = service.state.services.routing_agent
    agent._per_hour = 1
    messages_api.script(choosing(GOOD))
    decided = await asyncio.gather(asked(client), asked(client))
    assert sorted(each["decided_by"] for each in decided) == ["model", "policy"]
    calls = len(messages_api.messages)
    assert "1 decisions an hour may be asked about" in (await asked(client))["not_explained"]
    agent._per_hour, agent._usd_per_hour = 10, Decimal("0.001")
    assert "is left of this hour" in (await asked(client))["not_explained"]
    assert len(messages_api.messages) == calls


async def test_a_call_is_reserved_in_the_ledger_and_charged_to_the_installation(
    client: httpx.AsyncClient, messages_api: MessagesApi, service: FastAPI
) -> None:
    """Law 4: it is refused by the installation's cap, by name, and what it used is settled."""
    database = service.state.services.database
    before, _ = await spent_and_reserved(database)
    messages_api.script(choosing(GOOD))
    assert (await asked(client))["decided_by"] == "model"
    after, reserved = await spent_and_reserved(database)
    assert after > before
    assert reserved == 0
    calls = len(messages_api.messages)
    await set_cap(database, AccountKind.INSTALLATION, "", Decimal("0.001"), None)
    try:
        refused = await asked(client)
    finally:
        await remove_cap(database, AccountKind.INSTALLATION, "")
    assert refused["decided_by"] == "policy"
    assert refused["not_explained"].startswith("the installation has $0.00")
    assert len(messages_api.messages) == calls


async def test_only_doubtful_decisions_are_asked_about_unasked(
    client: httpx.AsyncClient, messages_api: MessagesApi, service: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the configured confidence; by default none is."""
    calls = len(messages_api.messages)
    assert (await asked(client, explain=False))["not_explained"] is None
    assert len(messages_api.messages) == calls
    services = service.state.services
    changed = services.settings.model_copy(update={"risk_agent_below": 0.6})
    object.__setattr__(services, "settings", changed)
    messages_api.script(choosing(GOOD))
    try:
        assert (await asked(client, explain=False))["decided_by"] == "model"
    finally:
        object.__setattr__(services, "settings", changed.model_copy(update={"risk_agent_below": 0.0}))
