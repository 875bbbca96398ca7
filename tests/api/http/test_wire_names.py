"""The wire: field names of every body, pinned, so that renaming a Python field cannot rename them unseen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.http.app import create_app
from models import ConversationTurn, ProxyCall
from tests.support.gateway_context import status_page
from tests.support.http_service import QUESTION, events_of, settings_of

Names = dict[str, str]
"""Sorted field names of the objects in a body, by their path in it; lists are stepped over."""

HEADLINE = "alarm at nouns role text topic value"
MANIFEST: Names = {
    "": "age_ms as_of bound_terms build_ms facts live max_age_s not_used notes prompt_sha256 question scope "
    "sides sources token_bound token_budget topics unknown_names window",
    "window": "end origin start",
    "unknown_names": "name near",
    "sides": "intervals label scope",
    "sides.intervals": "end start",
    "not_used": "reason text",
    "sources": "cut error folded gaps header headline kept milliseconds name not_shown on_topic ref stable "
    "status",
    "facts": "approved detail headline importance on_topic reason ref same_as source stable text tokens",
    "sources.headline": HEADLINE,
    "facts.headline": HEADLINE,
    "bound_terms": "factor rule whole_words words",
}
ANSWER: Names = {
    "": "as_of citations confidence cost_usd id latency_ms manifest model no_model_reason question "
    "stop_reason text unsupported usage",
    "citations": "ref source text",
    "unsupported": "detail doubt sentence",
    "confidence": "level reasons",
    "usage": "cache_read_tokens cache_write_tokens input_tokens output_tokens",
}
POSTMORTEM: Names = {
    "": "cost_usd created_at edited_at incident markdown model provenance question resolution reviewed_at "
    "reviewed_by root_cause status summary template",
}
REQUEST = (
    "backend completion_tokens cost_usd created_at deployment endpoint error_code id latency_ms model "
    "prompt_tokens router_version status task_type tier user"
)
SPENT = "cost_usd requests since until"
PERCENTILES = "p50_ms p95_ms p99_ms since timed until"
QUALITY = "answered coverage deviation mean model requests scored task_type"
VOLUME = "failed failure_rate name pending requests statuses"
PART = "reason status"
QUEUE = "at_work max_at_work max_waiting oldest_waiting_s refused waiting"
LOAD = {
    "load": "answers builds connections loop_lag_p50_ms loop_lag_p99_ms max_connections worker",
    "load.builds": QUEUE,
    "load.answers": QUEUE,
}


def below(path: str, names: Names) -> Names:
    return {f"{path}.{inner}".rstrip("."): fields for inner, fields in names.items()}


PINNED: dict[str, Names] = {
    "POST /v1/query": ANSWER | below("manifest", MANIFEST),
    "POST /v1/context": {"": "manifest prompt", "prompt": "stable system user"} | below("manifest", MANIFEST),
    "GET /v1/deployments": {
        "": "as_of deployments next",
        "deployments": "backend capacity_rpm id model overwritten reason region reported_at since stale "
        "status version",
    },
    "GET /v1/incidents": {
        "": "as_of incidents next",
        "incidents": "deployment id postmortem provenance resolution resolved_at review root_cause severity "
        "started_at status symptoms target title",
    },
    "GET /v1/incidents/active": {
        "": "as_of incidents next",
        "incidents": "deployment id severity started_at symptoms target title",
    },
    "GET /v1/incidents/{incident_id}/postmortem": POSTMORTEM,
    "POST /v1/incidents/{incident_id}/postmortem": POSTMORTEM,
    "POST /v1/incidents/{incident_id}/postmortem/approve": POSTMORTEM,
    "POST /v1/incidents/{incident_id}/postmortem/reject": POSTMORTEM,
    "GET /v1/requests": {"": "next requests", "requests": REQUEST},
    "GET /v1/requests/{request_id}": {
        "": "as_of incident quality request routing_reason",
        "request": REQUEST,
        "quality": "score scored_at scorer",
        "incident": "id resolution resolved_at root_cause severity started_at target title",
    },
    "GET /v1/conversations/{conversation_id}": {
        "": "cache_read_ratio calls cost_usd id requests since turns until user",
        "turns": "cut_messages decided_at number quoted_messages text tokens turn",
        "calls": "attempts cache_read_tokens cache_write_tokens changes cost_usd error first_byte_ms "
        "input_tokens latency_ms model output_tokens received_at request_id state status steps stop_reason "
        "turn upstream",
        "calls.steps": "after_ms detail state",
    },
    "GET /v1/users/{user_id}/context": {
        "": "as_of budget_left_usd budget_used daily_budget_usd id last_24_hours last_7_days last_request_at "
        "name role tier today",
        **dict.fromkeys(["today", "last_24_hours", "last_7_days"], SPENT),
    },
    "GET /v1/latency": {
        "": "as_of bucket buckets overall since until",
        "overall": PERCENTILES,
        "buckets": PERCENTILES,
    },
    "GET /v1/quality": {
        "": "as_of by_model by_model_and_task_type by_task_type newest_score_hour overall since until",
        **dict.fromkeys(["overall", "by_model", "by_task_type", "by_model_and_task_type"], QUALITY),
    },
    "GET /v1/volume": {
        "": "as_of by_backend by_deployment by_model by_tier since total until",
        **dict.fromkeys(["total", "by_tier", "by_model", "by_backend", "by_deployment"], VOLUME),
    },
    "GET /v1/audit": {
        "": "entries next",
        "entries": "action at caller detail hash key_id outcome previous sequence subject",
    },
    "GET /v1/spend": {
        "": "accounts as_of caps in_flight more",
        "accounts": "calls day id kind left_usd limit_usd reserved_usd spent_usd time_zone",
        "caps": "id kind limit_usd time_zone",
    },
    "GET /v1/memory/search": {
        "": "as_of best_similarity nothing_similar recollections",
        "recollections": "confidence id last_seen provenance recurrences resolution resolved_at root_cause "
        "severity similarity started_at status symptoms target title",
    },
    "POST /v1/route": {
        "": "advised age_s alternatives as_of candidates confidence decided_by deployment expected_ms expert "
        "explanation not_explained panic probability probe reason shadow",
        "alternatives": "deployment expected_ms probability reason share state",
    },
    "GET /v1/risk": {
        "": "age_s as_of deployments ejected failure refusal shadow",
        "deployments": "anomaly baseline_ms deployment expert headroom high_ms last_false_alarm latency_ms "
        "limit_ms low_ms matured probability reason returns_in_s share silence skill state usual_share",
    },
    "GET /v1/pollers": {
        "": "pollers reason",
        "pollers": "about error failures health kind name next_at polled_at succeeded_at summary",
    },
    "POST /v1/ingest/{name}": {
        "": "accepted duplicate notes rejected rejects skipped updated",
        "rejects": "field index reason",
    },
    "GET /healthz": {"": "database load model status version"} | LOAD,
    "GET /readyz": {
        "": "database embedder load memory status",
        **LOAD,
        **dict.fromkeys(["database", "memory", "embedder"], PART),
    },
}
FREE = {"statuses", "routing_reason", "skipped", "detail"}
"""Objects whose names are data."""


def test_every_described_body_has_exactly_the_pinned_names(tmp_path: Path) -> None:
    """No field of a response is added, dropped or renamed without this table."""
    description = create_app(settings_of("sqlite:///none.db", tmp_path)).openapi()
    schemas = description["components"]["schemas"]
    described: dict[str, Any] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if content := response["content"].get("application/json"):
                    names = dict(objects_of_schema(content["schema"], schemas))
                    # The same body, whatever the status.
                    assert described.setdefault(f"{method.upper()} {path}", names) == names, status
    assert described == PINNED


@pytest.mark.asyncio(loop_scope="module")
async def test_every_sent_body_has_exactly_the_pinned_names(
    client: httpx.AsyncClient, service: FastAPI
) -> None:
    """What is described is what is sent, on every route, streamed or whole."""
    async with service.state.services.database.write() as session:
        session.add_all((proxied_call(), decided_turn(), status_page("aws")))
    log = (await client.get("/v1/requests", params={"limit": 1, "status": "error"})).json()["requests"][0]
    resolved = (await client.get("/v1/incidents", params={"status": "resolved"})).json()["incidents"][0]["id"]
    values = {
        "incident_id": resolved, "request_id": log["id"], "user_id": log["user"], "name": "requests",
        "conversation_id": "conv_1",
    }  # fmt: skip
    question, decision, text = {"question": QUESTION}, {"by": "ada"}, {"text": "timeouts"}
    asked: dict[str, dict[str, Any]] = {
        "POST /v1/query": {"json": question},
        "POST /v1/context": {"json": question},
        "GET /v1/memory/search": {"params": text},
        "POST /v1/route": {"json": {}},
        "POST /v1/ingest/{name}": {"json": [None]},
        "POST /v1/incidents/{incident_id}/postmortem/approve": {"json": decision},
        "POST /v1/incidents/{incident_id}/postmortem/reject": {"json": decision},
    }
    # Written before it is read.
    for route in sorted(PINNED, key=lambda route: route != "POST /v1/incidents/{incident_id}/postmortem"):
        method, path = route.split()
        response = await client.request(method, path.format(**values), **asked.get(route, {}))
        assert response.status_code in (200, 201), response.text
        assert_pinned(response.json(), PINNED[route])
    stream = await client.post("/v1/query", json=question, headers={"accept": "text/event-stream"})
    pinned = {"context": MANIFEST, "delta": {"": "text"}, "answer": PINNED["POST /v1/query"]}
    events = events_of(stream.text)
    assert {event.name for event in events} == pinned.keys()
    for event in events:
        assert_pinned(event.data, pinned[event.name])


def proxied_call() -> ProxyCall:
    return ProxyCall(
        request_id="req_proxied", received_at=datetime.now(UTC), conversation="conv_1", model="m",
        state="completed", transitions=[["received", 0.0, ""]], changes=[], attempts=1, latency_ms=1.0,
    )  # fmt: skip


def decided_turn() -> ConversationTurn:
    return ConversationTurn(
        credential="c", prefix="p", version=0, conversation="conv_1", decided_at=datetime.now(UTC), text="t",
        tokens=1, stated=[], kinds=[], cuts=[], cut_count=0, recalled=[],
    )  # fmt: skip


def assert_pinned(body: Any, pinned: Names) -> None:
    found = list(objects_of_body(body))
    assert found[0] == ("", pinned[""])
    assert set(found) <= set(pinned.items())


def objects_of_schema(schema: Any, schemas: Any, path: str = "") -> Iterator[tuple[str, str]]:
    schema = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "items" in schema:
        yield from objects_of_schema(schema["items"], schemas, path)
    if "properties" in schema:
        yield path, " ".join(sorted(schema["properties"]))
        for name, inner in schema["properties"].items():
            yield from objects_of_schema(inner, schemas, f"{path}.{name}".lstrip("."))


def objects_of_body(body: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(body, list):
        for each in body:
            yield from objects_of_body(each, path)
    elif isinstance(body, dict) and path.rpartition(".")[2] not in FREE:
        yield path, " ".join(sorted(body))
        for name, inner in body.items():
            yield from objects_of_body(inner, f"{path}.{name}".lstrip("."))
