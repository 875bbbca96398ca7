"""LiteLLM: an attempt is a request, a probe is a health check, and what nobody should read is not kept."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api.ingest.live.message import Decoded
from api.ingest.records import ErrorRecord, HealthRecord, RequestRecord
from models import Deployment, Request
from models.database import Database
from models.tables.schema import Table
from tests.api.ingest.receivers.conftest import of_type
from tests.support.litellm_payloads import failure, payload, posted

Decode = Callable[..., Decoded]
Post = Callable[..., Awaitable[httpx.Response]]
CANARY = "the-prompt-of-somebody"


def only(decoded: Decoded, kind: type[Any] = RequestRecord) -> Any:
    (record,) = of_type(decoded, kind)
    return record


def test_a_call_becomes_a_request(decode: Decode) -> None:
    """Latency is from start to end, not to the first token; the provider's name before the model goes."""
    request = only(decode("litellm", posted(payload())))
    assert (request.model, request.backend, request.user) == ("gpt-4o-mini", "openai", "ann")
    assert (request.status, request.latency_ms, request.cost_usd) == ("success", 125, Decimal("0.0000036"))
    assert (request.prompt_tokens, request.completion_tokens) == (12, 3)
    assert request.routing_reason == {"trace_id": "trace-0", "model_group": "chat"}
    own = only(decode("litellm", posted(payload(api_base="http://10.0.0.7:8000/v1", model="gpt-4o-mini"))))
    assert (own.model, own.backend) == ("gpt-4o-mini", "openai@10.0.0.7:8000")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (failure("429", "RateLimitError", "slow down"), {"status": "rate_limited", "error_code": "429"}),
        (failure("408", "Timeout", "late"), {"status": "timeout"}),
        (failure("", "Timeout", "late"), {"status": "timeout", "error_code": "Timeout"}),
        (failure("500", "InternalServerError", "x"), {"status": "error", "prompt_tokens": None}),
        (payload(stream=True, prompt_tokens=0, completion_tokens=0), {"completion_tokens": None}),
        (payload(cache_hit=True, response_cost=0.0), {"latency_ms": None, "task_type": "cache_hit"}),
        (payload(response_cost=0.0, cost_breakdown={"total_cost": 45.0}), {"cost_usd": Decimal(45)}),
        (payload(endTime=payload()["startTime"] - 5), {"latency_ms": None}),
        (payload(endTime=payload()["startTime"]), {"latency_ms": 0}),
        (payload(metadata=None), {"user": "unknown"}),
        (payload(metadata={"user_api_key_alias": "svc", "user_api_key_user_id": None}), {"user": "svc"}),
    ],
)
def test_what_payloads_say_in_their_own_way(
    decode: Decode, sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Outcomes by code or class, no usage that is none, costs and times that are known."""
    request = only(decode("litellm", posted(sent)))
    assert {name: getattr(request, name) for name in expected} == expected


def test_what_reached_no_deployment_creates_none(decode: Decode) -> None:
    """A model that a client made up, and a wrong key, are requests of one deployment."""
    sent = [
        failure("400", "NotFound", CANARY, model=f"made-up-{number}", custom_llm_provider=None, model_id="")
        for number in range(50)
    ]
    requests = of_type(decode("litellm", posted(*sent)))
    assert {(each.model, each.backend) for each in requests} == {("unrouted", "gateway")}  # type: ignore[attr-defined]


def test_a_probe_is_a_health_check(decode: Decode) -> None:
    """LiteLLM's own calls are no traffic of users."""
    metadata = {"user_api_key_alias": "litellm-internal-health-check"}
    sent = posted(payload(metadata=metadata), failure("500", "X", "no route", metadata=metadata))
    decoded = decode("litellm", sent)
    healthy, down = of_type(decoded, HealthRecord)
    assert len(decoded.records) == 2
    assert (healthy.status, healthy.latency_ms, down.status) == ("healthy", 125, "down")  # type: ignore[attr-defined]
    assert "no route" in down.error  # type: ignore[attr-defined]


def test_a_payload_that_cannot_be_used_costs_only_itself(decode: Decode) -> None:
    """null, wrong types, times and costs out of range are named; the rest is read, also from lines."""
    wrong = [
        None, {"id": "x"}, payload(startTime="now"), payload(startTime=1e308), payload(response_cost=1e308),
        payload(prompt_tokens=-1), 7,
    ]  # fmt: skip
    for body in (
        posted(*wrong, payload(1)),
        "\n".join(map(json.dumps, [*wrong, payload(1)])).encode(),
        posted(*wrong, payload(1, cost_breakdown={"total_cost": float("nan")})),
    ):
        decoded = decode("litellm", body)
        assert [each.index for each in decoded.rejects] == list(range(len(wrong)))
        assert [index for index, _ in decoded.records] == [len(wrong)]
    assert len(decode("litellm", json.dumps(payload()).encode()).records) == 1


@pytest.mark.both_databases
async def test_attempts_are_stored_once_and_nothing_secret_is(database: Database, post: Post) -> None:
    """Redelivery adds nothing; equal ids of different calls are different; keys and prompts are nowhere."""
    key = f"sk-{CANARY}-0123456789"
    sent = [
        payload(0, messages=[{"content": CANARY}], response=CANARY, metadata={"user_api_key_hash": key}),
        payload(0),
        payload(0, startTime=payload()["startTime"] + 1, endTime=payload()["startTime"] + 2),
        failure("400", "BadRequest", f"invalid prompt: {CANARY}"),
        failure("500", "Internal", f"said '{CANARY} and so on' to Bearer {key}", startTime=1795957000.5),
        failure("401", "Auth", key, metadata={"user_api_key_hash": key}, startTime=1795957001.5)
        | {"model_id": "", "custom_llm_provider": None},
    ]  # fmt: skip
    sent[1]["metadata"] = {"user_api_key_hash": key}
    receipts = [(await post("litellm", posted(*sent))).json() for _ in range(2)]
    # Five requests and three lines of errors; the second payload is the first one again.
    assert [(each["accepted"], each["duplicate"]) for each in receipts] == [(8, 1), (0, 9)]
    async with database.write() as session:
        assert set(await session.scalars(select(Deployment.public_id))) == {
            "gpt-4o-mini/openai", "unrouted/gateway",
        }  # fmt: skip
        for table in Table.metadata.tables.values():
            for row in await session.execute(select(table)):
                assert CANARY not in repr(row), table.name
        statuses = sorted(await session.scalars(select(Request.status)))
    assert statuses == ["error", "error", "error", "success", "success"]


@pytest.mark.parametrize(
    ("name", "requests", "others"),
    [
        ("litellm_proxy_success", ["success"], 0),
        ("litellm_proxy_bad_key", ["error"], 1),
        ("litellm_proxy_fallback", ["error", "success"], 1),
        ("litellm_proxy_health_check_as_request", [], 2),
        ("litellm_proxy_same_call_id_twice", ["success", "success"], 0),
        ("litellm_proxy_unknown_model", ["error"], 1),
        ("litellm_sdk_cache_miss_hit", ["success", "success"], 0),
        ("litellm_sdk_router_retry_fallback", ["rate_limited", "rate_limited", "success"], 2),
        ("litellm_sdk_stream_no_usage", ["success"], 0),
        ("litellm_sdk_timeout", ["timeout"], 1),
        ("litellm_sdk_unpriced_model", ["success"], 0),
    ],
)
def test_a_recording_gives_the_rows_that_it_should(
    decode: Decode, recording: Callable[[str], bytes], name: str, requests: list[str], others: int
) -> None:
    """What the real program sent: one request an attempt, each with an id of its own."""
    decoded = decode("litellm", recording(name))
    found = of_type(decoded)
    assert [each.status for each in found] == requests  # type: ignore[attr-defined]
    assert len({each.id for each in found}) == len(requests)  # type: ignore[attr-defined]
    assert len(of_type(decoded, ErrorRecord)) + len(of_type(decoded, HealthRecord)) == others
    assert not decoded.rejects
    if "retry" in name:
        assert len({each.routing_reason["trace_id"] for each in found}) == 1  # type: ignore[attr-defined]
