"""Traces of questions and commits: what hangs on what, what they say, and what they never say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import func, select

from api import tracing
from api.settings import Settings, SettingsError
from context_builder import observation
from models import Request
from tests.loopback.messages_api import API_KEY, Fail, MessagesApi
from tests.support.http_service import QUESTION, events_of
from tests.support.kinds_of_records import EXAMPLES
from tests.support.scrapes import Scrape, parsed, value
from tests.support.served_proxy import served
from tests.support.traces import id_of, kept_spans, no_provider_after, parent_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "canary-7c1e"
SECRET = "sk-ant-" + CANARY * 3
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as exporter:
        yield exporter


async def scrape(client: httpx.AsyncClient) -> Scrape:
    return parsed((await client.get("/metrics")).text)


async def requests_in(service: FastAPI) -> int:
    async with service.state.services.database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(Request)) or 0)


async def test_a_streamed_question_is_one_trace_of_its_parts(
    client: httpx.AsyncClient, messages_api: MessagesApi, spans: InMemorySpanExporter
) -> None:
    """Below the caller's span: sources, recall, packing, and the call as the GenAI conventions have it."""
    headers = {"accept": "text/event-stream", "traceparent": f"00-{TRACE}-{CALLER}-01"}
    # At a moment that no other test asks about, so that every source is read.
    body = {"question": f"{QUESTION} {CANARY} key={SECRET}", "as_of": "2026-11-20T08:01:00Z"}
    response = await client.post("/v1/query", json=body, headers=headers)
    answer = events_of(response.text)[-1].data
    ended = {span.name: span for span in spans.get_finished_spans()}
    question, call = ended["question"], ended[f"chat {answer['model']}"]
    assert {f"{span.context.trace_id:032x}" for span in ended.values() if span.context} == {TRACE}
    assert f"{parent_of(question):016x}" == CALLER
    of_sources = {f"source {source['name']}" for source in answer["manifest"]["sources"]}
    below = {name for name, span in ended.items() if parent_of(span) == id_of(question)}
    assert below == {"pack", call.name, *of_sources}
    assert parent_of(ended["recall"]) == id_of(ended["source recall"])
    usage = answer["usage"]
    assert dict(call.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": answer["model"],
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": answer["model"],
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": sum(
            usage[f"{kind}_tokens"] for kind in ("input", "cache_read", "cache_write")
        ),
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": usage["cache_read_tokens"],
        "gen_ai.usage.cache_creation.input_tokens": usage["cache_write_tokens"],
    }


async def test_no_span_says_what_users_and_senders_wrote(
    client: httpx.AsyncClient, messages_api: MessagesApi, spans: InMemorySpanExporter
) -> None:
    """Law 7: not in attributes, events or statuses, whether it goes well or fails."""
    messages_api.always(Fail(status=400, message=f"{CANARY} {SECRET}"))
    for body in (
        {"question": f"Is {CANARY} slow? key={SECRET}", "user": CANARY},
        {"question": f"What of {CANARY}?", "scope": {"deployments": [CANARY]}},
    ):
        await client.post("/v1/query", json=body, headers={"x-request-id": CANARY})
    record = EXAMPLES["requests"] | {"id": CANARY, "user": CANARY, "error_code": CANARY}
    await client.post("/v1/ingest/requests", json=[record, {"id": CANARY}])
    written = [json.loads(span.to_json()) for span in spans.get_finished_spans()]
    assert {"question", "ingest commit"} <= {span["name"] for span in written}
    assert any(span["status"]["status_code"] == "ERROR" for span in written)
    told = json.dumps(written)
    assert CANARY not in told
    assert API_KEY not in told
    assert not any(span["events"] or span["status"].get("description") for span in written)


async def test_of_an_error_a_span_has_the_class_alone(spans: InMemorySpanExporter) -> None:
    """Messages quote what could not be read, which may be anything."""
    with pytest.raises(ValueError, match=CANARY), observation.span("work"):
        raise ValueError(CANARY)
    (ended,) = spans.get_finished_spans()
    assert (ended.attributes or {})["error.type"] == "ValueError"
    assert CANARY not in ended.to_json()


async def test_our_own_spans_are_no_requests_and_make_no_new_spans(
    client: httpx.AsyncClient, service: FastAPI, spans: InMemorySpanExporter
) -> None:
    """A service that exports to itself neither counts its own calls as the gateway's nor does it go on."""
    await client.post("/v1/query", json={"question": QUESTION, "as_of": "2026-11-20T08:02:00Z"})
    body = encode_spans(spans.get_finished_spans()).SerializeToString()
    before = await requests_in(service)
    spans.clear()
    assert (await client.post("/v1/otlp/v1/traces", content=body, headers=PROTOBUF)).status_code == 200
    assert await requests_in(service) == before
    assert [span.name for span in spans.get_finished_spans()] == []


async def test_the_real_exporter_delivers_all_spans_to_a_service(
    client: httpx.AsyncClient, service: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a socket, as the variables of OpenTelemetry say; here to the service that makes them."""
    before, requests = await scrape(client), await requests_in(service)
    async with served(service) as url:
        with no_provider_after():
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{url}/v1/otlp")
            settings = service.state.settings.model_copy(update={"tracing": "on", "egress": "off"})
            async with tracing.tracing(settings):
                body = {"question": QUESTION, "as_of": "2026-11-20T08:03:00Z"}
                answer = (await client.post("/v1/query", json=body)).json()
        after = await scrape(client)
    sent = value(after, "ingest_skipped_items_total", way="otlp", reason="ignored scope") - value(
        before, "ingest_skipped_items_total", way="otlp", reason="ignored scope"
    )
    # One for each source, and the question, recall, packing and call.
    assert sent == len(answer["manifest"]["sources"]) + 4
    assert await requests_in(service) == requests


@pytest.mark.parametrize(
    ("address", "is_refused"),
    [
        ("http://collector.example:4318", True),
        ("https://10.0.0.4", True),
        ("http://localhost:4318", False),
        ("http://127.0.0.2:1", False),
        ("http://[::1]:4318", False),
    ],
)
async def test_without_egress_traces_stay_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, address: str, *, is_refused: bool
) -> None:
    """ARCPOINT_EGRESS=off means nothing leaves, traces included; the refusal says what is accepted."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address)
    settings = Settings(tracing="on", egress="off")
    with no_provider_after():
        if is_refused:
            with pytest.raises(SettingsError, match="collector on this machine"):
                await asyncio.to_thread(tracing._start, settings)
        else:
            provider = await asyncio.to_thread(tracing._start, settings)
            await asyncio.to_thread(provider.shutdown)
