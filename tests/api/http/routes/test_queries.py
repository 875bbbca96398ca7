"""The queries over HTTP: what the functions find, as JSON that is described, and clear refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sqlalchemy import func, select, text

from context_builder.queries import (
    DeploymentFilter,
    HistoryFilter,
    IncidentFilter,
    RequestFilter,
    TrafficFilter,
    active_incidents,
    deployment_status,
    incident_history,
    latency_trends,
    quality_summary,
    query_session,
    recent_requests,
    request_detail,
    request_volume,
    user_context,
)
from models import Request, User
from tests.support.prepared_databases import STORY_ANCHOR

pytestmark = pytest.mark.asyncio(loop_scope="module")

AS_OF = STORY_ANCHOR - timedelta(hours=2)
MOMENT = AS_OF.isoformat().replace("+00:00", "Z")
LISTS = ["/v1/deployments", "/v1/incidents", "/v1/incidents/active", "/v1/requests"]
TRAFFIC = ["/v1/latency", "/v1/quality", "/v1/volume"]


def assert_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The response is a problem document in one line; gives it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:arcpoint:problem:{kind}"
    assert problem["instance"] == response.request.url.path
    assert "\n" not in problem["detail"]
    return problem


def differences(told: Any, found: Any) -> Iterator[str]:
    """Where JSON does not say what a result holds; what is worked out from the rest is left aside."""
    if hasattr(found, "__dataclass_fields__"):
        for name in found.__dataclass_fields__:
            yield from differences(told[name], getattr(found, name))
    elif isinstance(found, tuple):
        assert len(told) == len(found)
        for one, other in zip(told, found, strict=True):
            yield from differences(one, other)
    elif isinstance(found, datetime):
        if datetime.fromisoformat(told) != found:
            yield f"{told} is not {found}"
    elif isinstance(found, float):
        if told != pytest.approx(found):
            yield f"{told} is not {found}"
    elif told != found and not (isinstance(told, str | float) and float(told) == pytest.approx(float(found))):
        yield f"{told!r} is not {found!r}"


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    response = await client.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def test_every_endpoint_tells_what_its_query_finds(client: httpx.AsyncClient, service: FastAPI) -> None:
    """Field by field, at a moment of the past, with filters; and all of it valid under the description."""
    window = {"since": MOMENT.replace("2026-11-20", "2026-11-18"), "as_of": MOMENT}
    since = AS_OF - timedelta(days=2)
    traffic = TrafficFilter(tiers=("premium", "budget"), models=("gpt-4",), since=since, as_of=AS_OF)
    tiers = {"tier": ["premium", "budget"], "model": "gpt-4"}
    async with query_session(service.state.services.database) as session:
        user = await session.scalar(select(User.public_id).order_by(User.id).limit(1))
        request = await session.scalar(select(Request.public_id).where(Request.created_at < AS_OF).limit(1))
        assert user is not None
        assert request is not None
        calls: list[tuple[str, dict[str, Any], object]] = [
            ("/v1/deployments", {"backend": "aws", "as_of": MOMENT},
             await deployment_status(session, DeploymentFilter(backends=("aws",), as_of=AS_OF))),
            ("/v1/incidents/active", {"as_of": MOMENT},
             await active_incidents(session, IncidentFilter(as_of=AS_OF))),
            ("/v1/incidents", {"severity": ["high", "critical"], "status": "resolved", "as_of": MOMENT},
             await incident_history(session, HistoryFilter(
                 severities=("high", "critical"), statuses=("resolved",), as_of=AS_OF))),
            ("/v1/requests", {"user": user, "status": ["error", "success"], "until": MOMENT},
             await recent_requests(
                 session, RequestFilter(users=(user,), statuses=("error", "success"), until=AS_OF))),
            ("/v1/requests/{request_id}", {"as_of": MOMENT},
             await request_detail(session, request, as_of=AS_OF)),
            ("/v1/users/{user_id}/context", {"as_of": MOMENT},
             await user_context(session, user, as_of=AS_OF)),
            ("/v1/latency", window | tiers | {"bucket": "6h"},
             await latency_trends(session, traffic, bucket="6h")),
            ("/v1/quality", window | tiers, await quality_summary(session, traffic)),
            ("/v1/volume", window | tiers, await request_volume(session, traffic)),
        ]  # fmt: skip
    description = (await client.get("/openapi.json")).json()
    for path, parameters, found in calls:
        told = await get(client, path.format(request_id=request, user_id=user), **parameters)
        assert list(differences(told, found)) == [], path
        content = description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        schema = content["schema"] | {"components": description["components"]}
        assert not list(Draft202012Validator(schema).iter_errors(told))
        assert told not in ([], {})


async def test_what_is_worked_out_from_counts_is_told(client: httpx.AsyncClient) -> None:
    """Failure rate and coverage; money as text, never as a float."""
    volume = (await get(client, "/v1/volume", as_of=MOMENT))["total"]
    assert volume["failure_rate"] == volume["failed"] / volume["requests"] > 0
    quality = (await get(client, "/v1/quality", as_of=MOMENT))["overall"]
    assert 0 < quality["coverage"] == quality["scored"] / quality["requests"] < 1
    assert isinstance((await get(client, "/v1/requests", limit=1))["requests"][0]["cost_usd"], str)


async def test_a_list_is_walked_by_following_next(client: httpx.AsyncClient, service: FastAPI) -> None:
    """All requests of a status in the order of the log, each once."""
    seen: list[str] = []
    parameters: dict[str, Any] = {"status": "rate_limited", "limit": 7}
    while True:
        page = await get(client, "/v1/requests", **parameters)
        seen += [one["id"] for one in page["requests"]]
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    async with service.state.services.database.read() as session:
        logged = await session.scalar(select(func.count()).where(Request.status == "rate_limited"))
    assert len(seen) == len(set(seen)) == logged
    assert len(seen) > 14


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_of_another_list_or_a_damaged_one_is_refused(
    client: httpx.AsyncClient, path: str
) -> None:
    """422 with what to do."""
    cursor = (await get(client, "/v1/requests", limit=1, tier="premium"))["next"]
    problem = assert_problem(await client.get(path, params={"cursor": cursor}), 422, "parameters")
    assert "with other filters" in problem["detail"]
    for damaged in (cursor[:-1], f"x{cursor}", "", "ü", "x" * 5_000):
        problem = assert_problem(await client.get(path, params={"cursor": damaged}), 422, "parameters")
        assert "the cursor is malformed" in problem["detail"]


@pytest.mark.parametrize("path", [*LISTS, *TRAFFIC, "/v1/requests/req_1", "/v1/users/user_1/context"])
async def test_an_unknown_parameter_is_refused_with_those_that_exist(
    client: httpx.AsyncClient, path: str
) -> None:
    """A misspelled filter is never ignored."""
    problem = assert_problem(await client.get(path, params={"tiers": "premium"}), 422, "parameters")
    (error,) = problem["errors"]
    assert (error["field"], error["message"]) == ("tiers", "unknown parameter")
    assert set(error["accepted"]) & {"as_of", "tier"}


@pytest.mark.parametrize(
    ("path", "parameters", "said"),
    [
        ("/v1/requests", {"limit": "0"}, "limit: input should be greater than or equal to 1"),
        ("/v1/requests", {"limit": "201"}, "less than or equal to 200"),
        ("/v1/requests", {"limit": "many"}, "limit: input should be a valid integer"),
        (
            "/v1/requests",
            {"since": "yesterday"},
            "since: a time is ISO 8601 text such as 2026-11-20T08:00:00Z",
        ),
        ("/v1/requests", {"since": "2026-11-20T08:00:00"}, "has no time zone"),
        ("/v1/requests", {"since": MOMENT, "until": MOMENT}, "is empty; since must be before until"),
        ("/v1/requests", {"tier": "gold"}, "tier 'gold' is not known; known names include"),
        ("/v1/requests", {"user": "nobody"}, "user 'nobody' is not known; known names include user_"),
        ("/v1/requests", {"user": "\x00"}, "cannot be a name"),
        ("/v1/requests", {"model": ["gpt-4"] * 101}, "at most 100 are accepted"),
        ("/v1/deployments", {"status": "ill"}, "status 'ill' is not known"),
        ("/v1/incidents/active", {"severity": "bad"}, "severity 'bad' is not known"),
        ("/v1/incidents", {"status": "open"}, "status 'open' is not known"),
        ("/v1/incidents", {"target": ""}, "cannot be a name"),
        ("/v1/incidents", {"since": MOMENT, "until": MOMENT}, "is empty; since must be before until"),
        ("/v1/incidents/active", {"deployment": "gpt-4/awz"}, "known names include gpt-4/aws"),
        ("/v1/volume", {"as_of": "2999-01-01T00:00:00Z"}, "is in the future"),
        ("/v1/latency", {"bucket": "2h"}, "accepted are 1m, 5m"),
        ("/v1/latency", {"since": "1970-01-01T00:00:00Z"}, "at most 1,500 are accepted"),
        ("/v1/quality", {"since": "2026-11-19T08:10:00Z", "until": "2026-11-19T08:40:00Z"}, "no whole hour"),
        ("/v1/requests/req_1", {"as_of": "noon"}, "as_of: a time is ISO 8601 text"),
        ("/v1/requests/%00", {}, "cannot be a name"),
    ],
)
async def test_a_value_that_cannot_be_used_is_named(
    client: httpx.AsyncClient, path: str, parameters: dict[str, Any], said: str
) -> None:
    """422 with the parameter or the name, and what would be accepted."""
    problem = assert_problem(await client.get(path, params=parameters), 422, "parameters")
    assert said in problem["detail"]


@pytest.mark.parametrize("name", ["req_none", "a/b", "ü", "x" * 200])
async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    """404, for a request and for a user, with known names."""
    path = quote(name, safe="")
    problem = assert_problem(await client.get(f"/v1/requests/{path}"), 404, "unknown")
    assert f"request {name!r} is not known; known names include" in problem["detail"]
    name = name[:100]
    problem = assert_problem(await client.get(f"/v1/users/{quote(name, safe='')}/context"), 404, "unknown")
    assert f"user {name!r} is not known; known names include" in problem["detail"]


async def test_a_query_that_takes_too_long_is_told_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 instead of waiting for ever; the connection serves the next query."""

    async def slow(session: Any, *_: object) -> None:
        forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        await session.execute(text(forever))

    monkeypatch.setattr("api.http.dependencies.DEADLINE_S", 0.3)
    with monkeypatch.context() as patch:
        patch.setattr("api.http.routes.traffic.request_volume", slow)
        problem = assert_problem(await client.get("/v1/volume"), 504, "timeout")
        assert "no answer within 0.3 s; narrow" in problem["detail"]
    monkeypatch.undo()
    assert (await client.get("/v1/volume")).status_code == 200


async def test_many_queries_at_once_each_get_their_answer(client: httpx.AsyncClient) -> None:
    """More than there are connections."""
    calls = [client.get("/v1/requests", params={"limit": limit, "tier": "premium"}) for limit in range(1, 60)]
    pages = [response.json() for response in await asyncio.gather(*calls)]
    assert [len(page["requests"]) for page in pages] == list(range(1, 60))


values = st.sampled_from(["premium", "gpt-4", "aws", "1", "-1", "", "\x00", "ü", MOMENT, "1970-01-01T00:00Z"])
names = st.sampled_from(
    ["tier", "model", "backend", "deployment", "user", "status", "since", "until", "as_of", "limit", "cursor",
     "bucket", "severity", "x"]
)  # fmt: skip


@given(
    path=st.sampled_from([*LISTS, *TRAFFIC]),
    parameters=st.dictionaries(names, st.lists(values | st.text(max_size=8), max_size=3), max_size=3),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_parameters_whatever_break_the_service(
    client: httpx.AsyncClient, path: str, parameters: dict[str, list[str]]
) -> None:
    """Answered, or refused as parameters; never a fault of ours."""
    pairs: Any = [
        (name, value.encode(errors="surrogatepass").decode(errors="replace"))
        for name, given_values in parameters.items()
        for value in given_values
    ]
    response = await client.get(path, params=httpx.QueryParams(pairs))
    if response.status_code != 200:
        assert_problem(response, 422, "parameters")
