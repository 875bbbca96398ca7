"""`POST /v1/route`, `GET /v1/risk` with its events, and `GET /metrics`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import api
import api.http.routes.risk
from api.risk_ticker import RiskTicker
from context_builder.risk.policy.controller import RiskController
from context_builder.risk.policy.outcomes import Observed
from context_builder.text.clock import utc_now
from tests.support.http_service import events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def known(client: httpx.AsyncClient) -> list[str]:
    body = (await client.get("/v1/risk")).json()
    return sorted(each["deployment"] for each in body["deployments"])


def post_table(ticker: RiskTicker, names: list[str], failing: int) -> None:
    """Post a table that acts, with the first deployments ejected, and no tick that would replace it."""
    ticker.is_fed = True
    controller = RiskController(ticker._chance, shadow=False)
    bad = dict.fromkeys(names[:failing], Observed(failures=50))
    ticker.board.post(controller.tick(utc_now(), dict.fromkeys(names, 1.0), bad, {})[0])


async def routed(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/v1/route", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_request_is_routed_to_one_of_its_candidates_with_a_reason(client: httpx.AsyncClient) -> None:
    """By default in shadow mode, which says so."""
    first, second, *_ = await known(client)
    answer = await routed(client, candidates=[first, second], tier="premium")
    assert answer["deployment"] in (first, second)
    assert answer["shadow"] is True
    assert "shadow mode" in answer["reason"]
    assert [each["deployment"] for each in answer["alternatives"]] == [
        name for name in (first, second) if name != answer["deployment"]
    ]


async def test_without_candidates_the_whole_fleet_is_considered(client: httpx.AsyncClient) -> None:
    """An empty body is a question, too."""
    assert (await routed(client))["candidates"] == len(await known(client))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"candidates": ["gpt-4/awss"]},
            "candidates that are no deployments: 'gpt-4/awss' (known are gpt-4/aws",
        ),
        ({"candidates": "gpt-4/aws"}, "candidates: "),
        ({"tier": "gold"}, "tier: input should be 'premium', 'standard' or 'budget'"),
        ({"prompt_tokens": -1}, "prompt_tokens: "),
        ({"prompt_tokens": 1e300}, "prompt_tokens: "),
        ({"candidate": []}, "candidate: unknown field"),
    ],
)
async def test_what_cannot_be_routed_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], said: str
) -> None:
    """422, with what would be accepted."""
    response = await client.post("/v1/route", json=body)
    assert response.status_code == 422
    assert said in response.json()["detail"]


async def test_ejected_candidates_get_nothing_but_in_a_panic_all(
    client: httpx.AsyncClient, service: FastAPI
) -> None:
    """All ejected is an answer that says so, and over HTTP as in this process."""
    names = await known(client)
    ticker: RiskTicker = service.state.services.risk
    post_table(ticker, names, 1)
    bad, good = names[:2]
    for _ in range(20):
        assert (await routed(client, candidates=[bad, good]))["deployment"] == good
    answer = await routed(client, candidates=[bad])
    assert answer["deployment"] == bad
    assert answer["panic"] == "1 of 1 candidates are ejected"
    assert answer["reason"].startswith("panic: ")
    assert (await api.route([bad])).panic == answer["panic"]
    risk = (await client.get("/v1/risk")).json()
    assert risk["ejected"] == 1
    assert risk["deployments"][0]["deployment"] == bad
    assert risk["deployments"][0]["reason"] == "50 of 50 requests failed in 30 s"
    with pytest.raises(ValueError, match="no deployments: 'nobody'"):
        await api.route(["nobody"])


async def test_events_come_with_every_tick_and_the_stream_ends(
    client: httpx.AsyncClient, service: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is the body of GET /v1/risk; a stream that never ended would keep a service from stopping."""
    monkeypatch.setattr(api.http.routes.risk, "EVENTS_S", 0.05)
    response = await client.get("/v1/risk/events")
    events = events_of(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events[0].name == "risk"
    assert events[0].data.keys() == (await client.get("/v1/risk")).json().keys()


async def test_gauges_are_those_of_the_last_tick(client: httpx.AsyncClient, service: FastAPI) -> None:
    """In the text format, one state of each deployment is 1, and quotes in a name are escaped."""
    post_table(service.state.services.risk, ['a"b/x', "c/x", "d/x"], 1)
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = response.text.splitlines()
    assert 'arcpoint_risk_state{deployment="a\\"b/x",state="open"} 1.0' in lines
    assert 'arcpoint_risk_share{deployment="c/x"} 0.5' in lines
    assert "arcpoint_risk_shadow 0.0" in lines
    assert sum(line.startswith("arcpoint_risk_state") and line.endswith(" 1.0") for line in lines) == 3
