"""OpenTelemetry: a call is one request, whichever convention, encoding and number of libraries report it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from sqlalchemy import select

from api.ingest.live.message import Decoded
from api.ingest.records import ErrorRecord, QualityRecord, Record
from models import Request
from models.database import Database
from tests.api.ingest.receivers.conftest import of_type
from tests.support.http_service import client_of
from tests.support.otlp_spans import CANARY, NEW, START_NS, as_protobuf, attribute, span, traces

Decode = Callable[..., Decoded]
PROTOBUF = "application/x-protobuf"
OLD: dict[str, Any] = {
    "gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.response.model": "claude",
    "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 3, "gen_ai.prompt": CANARY,
}  # fmt: skip
OPENINFERENCE = {
    "openinference.span.kind": "LLM", "llm.system": "anthropic", "llm.model_name": "claude",
    "llm.token_count.prompt": 12, "llm.token_count.completion": 3, "input.value": CANARY,
}  # fmt: skip
TRACELOOP = {
    "llm.request.type": "chat", "gen_ai.system": "anthropic", "llm.request.model_name": "claude",
    "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 3,
    "traceloop.entity.input": CANARY,
}  # fmt: skip


def failed(number: int, values: dict[str, Any], error_type: str, **changes: Any) -> dict[str, Any]:
    status = {"code": 2, "message": "Overloaded"}
    without_id = {name: value for name, value in values.items() if name != "gen_ai.response.id"}
    return span(number, without_id | {"error.type": error_type}, status=status, **changes)


def later(number: int, values: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What another library reports of the same call: a little later, in a trace of its own."""
    given = span(number, values)
    start, end = int(given["startTimeUnixNano"]), int(given["endTimeUnixNano"])
    inner = {"startTimeUnixNano": str(start + 10**6), "endTimeUnixNano": str(end - 10**6)}
    return given | {"traceId": f"{number + 900:032x}", "spanId": f"{number + 900:016x}"} | inner | changes


def read(decode: Decode, document: dict[str, Any], **options: Any) -> Decoded:
    return decode("otlp", json.dumps(document).encode(), topic="traces", **options)


def said(record: Record) -> dict[str, Any]:
    return record.model_dump(exclude={"id", "routing_reason", "created_at"})


@pytest.mark.parametrize("values", [OLD, OPENINFERENCE, TRACELOOP])
def test_a_call_is_the_same_request_in_every_dialect(decode: Decode, values: dict[str, Any]) -> None:
    """Old and new names, OpenInference and Traceloop."""
    (expected,) = of_type(read(decode, traces(a=[span(0)])))
    (request,) = of_type(read(decode, traces(a=[span(0, values)])))
    assert request == expected
    assert said(request) | {"model": "claude", "backend": "anthropic", "user": "gateway"} == said(request)
    assert said(request)["latency_ms"] == 100
    assert (said(request)["prompt_tokens"], said(request)["completion_tokens"]) == (12, 3)


def test_both_encodings_say_the_same(decode: Decode) -> None:
    """Protobuf and JSON give equal records, with nothing of the content in them."""
    document = traces(a=[span(0), failed(1, OLD, "overloaded_error"), span(2, {"http.method": "GET"})])
    sent = as_protobuf(document, ExportTraceServiceRequest())
    binary = decode("otlp", sent, topic="traces", content_type=PROTOBUF)
    assert binary.records == read(decode, document).records
    assert CANARY not in repr(binary)
    assert binary.skipped == {"no model call": 1}


@pytest.mark.parametrize("error_type", ["overloaded_error", "OverloadedError", "anthropic.OverloadedError"])
def test_an_error_has_one_name(decode: Decode, error_type: str) -> None:
    """However a library calls it; a failed call has its line in the error log."""
    decoded = read(decode, traces(a=[failed(0, NEW, error_type)]))
    (request,) = of_type(decoded)
    (line,) = of_type(decoded, ErrorRecord)
    assert (said(request)["status"], said(request)["error_code"]) == ("error", "OverloadedError")
    assert said(line)["message"] == "OverloadedError: Overloaded"


def test_what_contains_calls_restates_them(decode: Decode) -> None:
    """An agent, a chain within it and three calls are three requests."""
    agent = span(0)
    chain = span(1, {}, traceId=agent["traceId"], parentSpanId=agent["spanId"])
    calls = [span(number, traceId=agent["traceId"], parentSpanId=chain["spanId"]) for number in (2, 3, 4)]
    decoded = read(decode, traces(a=[agent, chain, *calls]))
    assert len(of_type(decoded)) == 3
    assert decoded.skipped == {"nested": 1, "no model call": 1}


def test_two_libraries_in_one_service_count_a_call_once(decode: Decode) -> None:
    """In unrelated traces, also calls that failed, have no id or share one; concurrent calls stay two."""
    sdk = [later(0), later(1), later(2) | {"attributes": failed(2, NEW, "overloaded_error")["attributes"]}]
    other = [span(0), span(1), failed(2, NEW, "OverloadedError")]
    decoded = read(decode, traces(sdk=sdk, other=other))
    assert len(of_type(decoded)) == 3
    assert decoded.skipped == {"reported twice": 3}
    assert len(of_type(read(decode, traces(other=[*other, span(0, spanId="f" * 16)])))) == 4
    different = [later(0, NEW | {"gen_ai.response.id": "msg_2"})]
    assert len(of_type(read(decode, traces(sdk=different, other=[span(0)])))) == 2
    ignored = read(decode, traces(sdk=sdk, other=other), ignored="sdk")
    assert len(of_type(ignored)) == 3
    assert ignored.skipped == {"ignored scope": 3}


def test_a_span_that_cannot_be_stored_costs_only_itself(decode: Decode) -> None:
    """A time out of range is named; models that clients made up create no deployment; sampling is told."""
    names = [NEW | {"gen_ai.request.model": f"m{number}"} for number in range(7)]
    made_up = [failed(number + 2, values, "NotFoundError") for number, values in enumerate(names)]
    states = ("ot=th:08", "ot=th:0", "ot=rv:9;th:0,x=y")
    sampled = [span(number, traceState=state) for number, state in zip((1, 30, 31), states, strict=True)]
    spans = [span(0, startTimeUnixNano="5"), *sampled, *made_up]
    decoded = read(decode, traces(a=spans))
    assert [(each.index, each.field) for each in decoded.rejects] == [(0, "startTimeUnixNano")]
    assert "sampled: 1" in decoded.notes[0]
    models = {said(each)["model"] for each in of_type(decoded)}
    assert models == {"claude", "unrouted"}


def test_logs_are_errors_and_scores(decode: Decode) -> None:
    """Warnings and worse are kept; an evaluation scores its span; content and the rest are skipped."""
    of_call = {"traceId": span(0)["traceId"], "spanId": span(0)["spanId"], "timeUnixNano": str(START_NS)}
    score = [attribute("gen_ai.evaluation.name", "judge"), attribute("gen_ai.evaluation.score.value", 0.75)]
    records = [
        {"severityNumber": 17, "body": {"stringValue": "no memory\nstack"}, "timeUnixNano": str(START_NS)},
        {"severityNumber": 9, "body": {"stringValue": CANARY}},
        of_call | {"eventName": "gen_ai.evaluation.result", "attributes": score},
        of_call | {"eventName": "gen_ai.client.inference.operation.details", "body": {"stringValue": CANARY}},
    ]
    resource = {"attributes": [attribute("service.name", "gateway")]}
    document = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]}
    decoded = decode("otlp", json.dumps(document).encode(), topic="logs")
    (error,) = of_type(decoded, ErrorRecord)
    (found,) = of_type(decoded, QualityRecord)
    (call,) = of_type(read(decode, traces(a=[span(0)])))
    assert (said(error)["target"], said(error)["message"]) == ("gateway", "no memory")
    assert said(found)["request"] == call.id  # type: ignore[attr-defined]
    assert decoded.skipped == {"no error": 1, "content of a call": 1}


@pytest.mark.parametrize(
    ("name", "requests", "skipped"),
    [
        ("otlp_traces_genai_openai", 5, {}),
        ("otlp_traces_genai_anthropic_and_sdk", 4, {"nested": 4}),
        ("otlp_traces_traceloop_anthropic_and_sdk", 4, {"reported twice": 4}),
        ("otlp_traces_openinference_openai", 4, {}),
        ("otlp_logs_genai_openai", 0, {"content of a call": 4}),
        ("otlp_metrics_genai_openai", 0, {"metrics": 1}),
    ],
)
def test_a_recording_gives_the_rows_that_it_should(
    decode: Decode, recording: Callable[[str], bytes], name: str, requests: int, skipped: dict[str, int]
) -> None:
    """What real exporters sent: a row for each call."""
    decoded = decode("otlp", recording(name), topic=name.split("_")[1])
    assert len({each.id for each in of_type(decoded)}) == requests  # type: ignore[attr-defined]
    assert (decoded.skipped, decoded.rejects) == (skipped, [])


def test_the_recorded_protobuf_says_what_the_recorded_json_does(
    decode: Decode, recording: Callable[[str], bytes]
) -> None:
    """The same export in both encodings."""
    body = base64.b64decode(json.loads(recording("otlp_traces_genai_openai_protobuf_request"))["body_base64"])
    binary = decode("otlp", body, topic="traces", content_type=PROTOBUF)
    assert binary.records == decode("otlp", recording("otlp_traces_genai_openai"), topic="traces").records


async def test_an_export_is_answered_as_it_was_sent(app: FastAPI, database: Database) -> None:
    """A client of OTLP gets its own encoding back; a partial success says what was rejected."""
    document = traces(a=[span(0), span(1, startTimeUnixNano="5")])
    async with client_of(app) as client:

        async def export(signal: str, content: bytes, content_type: str) -> httpx.Response:
            headers = {"content-type": content_type}
            return await client.post(f"/v1/otlp/v1/{signal}", content=content, headers=headers)

        plain = await export("traces", json.dumps(document).encode(), "application/json")
        assert plain.json()["partialSuccess"]["rejectedSpans"] == "1"
        binary = await export("traces", as_protobuf(document, ExportTraceServiceRequest()), PROTOBUF)
        assert binary.headers["content-type"] == PROTOBUF
        assert ExportTraceServiceResponse.FromString(binary.content).partial_success.rejected_spans == 1
        assert (await export("metrics", b"", PROTOBUF)).status_code == 200
        assert (await export("traces", b"\xff\xff", PROTOBUF)).status_code == 400
        assert (await export("profiles", b"", PROTOBUF)).status_code == 404
    async with database.write() as session:
        assert len((await session.scalars(select(Request.id))).all()) == 1
