"""Every parser of bytes from elsewhere: how it is called, valid samples, and the errors it may raise."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from backports import zstd
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.archive.documents import ImportDefaults
from api.archive.errors import ArchiveError
from api.archive.reader import ArchiveReader
from api.ingest.errors import BodyTooLarge, BodyUnreadable, InputError, MappingError
from api.ingest.files.mapping import ColumnMapping, load_mapping
from api.ingest.files.reader import read_batches
from api.ingest.live.body import MemoryBudget, unpack
from api.ingest.live.items import kind_receiver
from api.ingest.live.message import Message, Receiver
from api.ingest.live.signatures import standard_webhook
from api.ingest.receivers import discover
from api.ingest.records import RECORD_TYPES, RequestRecord
from api.proxy.client.request_body import decoded_body
from api.proxy.errors import ProxyRefusal
from api.proxy.proxy_file import ProxyFile
from api.proxy.reply_capture import ReplyCapture
from api.settings import SettingsError
from context_builder.conversation.body import append_text, splice
from context_builder.conversation.cut import cut_edits, make_cut, note_of
from context_builder.conversation.turns import read_transcript
from context_builder.conversation.window import raw_overhead, with_api_editing
from context_builder.llm.pricing import SHIPPED, PriceFileError, PriceList
from context_builder.question.checks import MAX_QUESTION_CHARACTERS
from context_builder.question.form import form_of
from context_builder.question.text import read_text
from context_builder.question.times.reading import read_times
from context_builder.text.markdown import sections, text_blocks, title_of
from tests.support.kinds_of_records import EXAMPLES
from tests.support.litellm_payloads import failure, payload

AT = datetime(2026, 11, 30, tzinfo=UTC)
START, END = "2026-11-29T12:41:11.586675411Z", "2026-11-29T12:47:18Z"
TRACES = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "openinference"},
                    "spans": [
                        {
                            "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==",
                            "spanId": "AAAAAAAAAAE=",
                            "parentSpanId": "AAAAAAAAAAI=",
                            "startTimeUnixNano": "1795956803544888588",
                            "endTimeUnixNano": "1795956803644888588",
                            "status": {"code": 2, "message": "Overloaded"},
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                {"key": "gen_ai.provider.name", "value": {"stringValue": "anthropic"}},
                                {"key": "gen_ai.request.model", "value": {"stringValue": "claude"}},
                                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
                                {"key": "llm.cost", "value": {"doubleValue": 0.5}},
                                {"key": "error.type", "value": {"stringValue": "429"}},
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
LOGS = {
    "resourceLogs": [
        {
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "severityNumber": 17,
                            "body": {"stringValue": "no memory"},
                            "timeUnixNano": "1795956803",
                        },
                        {
                            "eventName": "gen_ai.evaluation.result",
                            "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==",
                            "spanId": "AAAAAAAAAAE=",
                            "attributes": [
                                {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.75}}
                            ],
                        },
                    ]
                }
            ]
        }
    ]
}
DOCUMENTS: dict[str, Sequence[Any]] = {
    "alertmanager": [
        {
            "version": "4", "status": "firing", "truncatedAlerts": 1,
            "alerts": [
                {
                    "status": "firing", "labels": {"alertname": "Slow", "model": "llama", "severity": "page"},
                    "annotations": {"summary": "Slow"}, "startsAt": START, "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://127.0.0.1/graph", "fingerprint": "f00",
                }
            ],
        }
    ],
    "cloudevents": [
        {
            "specversion": "1.0", "id": "deploy-1", "source": "https://ci.example/42", "time": START,
            "type": "dev.cdevents.service.upgraded.0.2.0", "subject": "gpt-4/aws",
            "data": {"artifactId": "pkg:oci/vllm@v2", "secret": {"deep": [1]}},
        }
    ],
    "github": [
        {
            "deployment_status": {"state": "error", "updated_at": END, "description": "boom"},
            "deployment": {"id": 7, "created_at": START, "environment": "production", "ref": "v2"},
            "repository": {"full_name": "octo/gateway"}, "sender": {"login": "octocat"},
        }
    ],
    "incidentio": [
        {
            "event_type": "public_incident.incident_created_v2",
            "public_incident.incident_created_v2": {
                "id": "01F", "name": "Slow", "summary": "p95", "created_at": START, "updated_at": END,
                "severity": {"name": "Major", "rank": 2}, "incident_status": {"category": "closed"},
                "incident_timestamp_values": [
                    {"incident_timestamp": {"name": "Resolved at"}, "value": {"value": END}},
                    {"incident_timestamp": {"name": "Closed at"}, "value": None},
                ],
            },
        }
    ],
    "launchdarkly": [
        {
            "_id": "57c", "date": 1795953600000, "kind": "flag", "name": "New", "titleVerb": "turned on",
            "accesses": [{"action": "updateOn", "resource": "proj/web:env/production:flag/new-model"}],
            "member": {"email": "ann@example.com"},
        }
    ],
    "litellm": [[payload(), failure("429", "RateLimitError", "slow down"), payload(1, stream=True)]],
    "otlp traces": [TRACES],
    "otlp logs": [LOGS],
    "otlp metrics": [{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": {}}]}]}]}],
    "pagerduty": [
        {
            "event": {
                "id": "e", "event_type": "incident.resolved", "occurred_at": END,
                "data": {
                    "id": "Q1", "type": "incident", "title": "Slow", "status": "resolved",
                    "created_at": START, "urgency": "high", "service": {"summary": "gpt-4/aws"},
                    "assignees": [{"summary": "ann"}],
                },
            }
        }
    ],
    "statuspage": [
        {
            "page": {"id": "p", "updated_at": END},
            "incident": {
                "id": "k1", "name": "Errors", "status": "resolved", "impact": "minor", "created_at": START,
                "updated_at": END, "resolved_at": END, "components": [{"name": "API"}],
                "incident_updates": [{"body": "Fixed."}, {"body": "We look at it."}],
            },
        }
    ],
}  # fmt: skip
"""Of each receiver what its senders send."""
TOPICS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
CONVERSATION = {
    "model": "claude-sonnet-5-5", "max_tokens": 10, "stream": True,
    "system": [{"type": "text", "text": "Help."}],
    "tools": [{"name": "add", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "Add 1 and 2, and 3."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "…", "signature": "x"},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "3"}]}
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "3", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "aGk="}}]},
    ],
}  # fmt: skip
EVENTS = b"""event: message_start
data: {"type":"message_start","message":{"model":"c","content":[],"usage":{"input_tokens":9}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

"""
REPLY = b'{"type":"message","model":"c","content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":9}}'
MAPPING = b"""[file]
zone = "Europe/Paris"
delimiter = ";"
time_format = "%d.%m.%Y %H:%M"
decimal = ","
thousands = "."

[requests]
created_at = "created"
latency_ms = { start = "s", end = "e", unit = "s" }
tier = { constant = "standard" }
status = { column = "st", default = "success", values = { OK = "success", 1 = "error" }, optional = true }
"""
CSV = b"""created_at,user,tier,model,backend,status,latency_ms,cost_usd
2026-01-01 00:00:01Z,ann,premium,gpt-4,aws,success,900,0.25
2026-01-01T00:00:02+02:00,"b""o,b",budget,gpt-4,gcp,error,,"1
0"
"""
PAGE = b"""---
id: inc_7
severity: high
started_at: 2026-11-20T08:00:00Z
tags: [a, "b"]
---

# Postmortem: gpt-4/aws was slow

| Field | Value |
|---|---|
| Resolved | 2026-11-20 09:30 UTC |
| Duration | 1 h 30 min |

**Severity:** SEV2 on 20 November 2026, 08:00 (CET)

## Root cause

A disk was full: see <https://example.com/a> and `df -h`.

```sh
restart
```
"""
INCIDENT = {
    "id": "inc_7", "title": "Slow", "severity": "high", "started_at": START,
    "postmortem": "# A\n\n## Root cause\n\nB",
}  # fmt: skip
QUESTIONS = [
    b"Why were premium users slow between 8 and half past nine last Tuesday, but not on Sunday 2026-11-15?",
    b"Compare the last 3 days with the 4 weeks before the outage of inc_0101, in Europe/Berlin, since 07:12Z",
    "Warum war gpt-4/aws zwischen dem 3. und 5. März 2026 langsam? ¿Qué pasó ayer?".encode(),
]
PROXY_FILE = b"""[[upstreams]]
name = "one"
url = "https://api.example.com/v1"
api_key = "k"

[[users]]
digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
user = "ann"
tier = "premium"
"""


@dataclass(frozen=True)
class Parser:
    """One way in."""

    samples: Sequence[bytes]
    parse: Callable[[bytes, Path], object]
    """Takes the bytes, and a path that a file may have."""
    errors: tuple[type[Exception], ...] = ()
    """What it may raise."""


def parsers() -> dict[str, Parser]:
    """Every parser by name; receivers and kinds of records are found."""
    found = dict(_live())
    for coding, pack in (("gzip", gzip.compress), ("zstd", zstd.compress)):
        refusals = (BodyTooLarge, BodyUnreadable)
        found[f"unpack {coding}"] = Parser([pack(REPLY), pack(REPLY) * 2], partial(_unpack, coding), refusals)
    found["proxied body"] = Parser([json.dumps(CONVERSATION).encode()], _rewrite)
    packed = [gzip.compress(REPLY), zlib.compress(REPLY)]
    found["packed proxied body"] = Parser(packed, _inflate, (ProxyRefusal,))
    found["reply"] = Parser([EVENTS, REPLY, gzip.compress(EVENTS)], _capture)
    return found | {
        "signed time": Parser([b"1795953600"], _prove),
        "mapping file": Parser([MAPPING], _map, (InputError, MappingError)),
        "CSV": Parser([CSV], partial(_load, ".csv"), (InputError, MappingError)),
        "JSON Lines": Parser(
            [_line(EXAMPLES["requests"]) * 2], partial(_load, ".jsonl"), (InputError, MappingError)
        ),
        "prices": Parser([SHIPPED.read_bytes()], _price, (PriceFileError,)),
        "proxy file": Parser(
            [PROXY_FILE], lambda body, path: ProxyFile.load(_written(body, path)), (SettingsError,)
        ),
        "page": Parser([PAGE], partial(_import, ".md"), (ArchiveError,)),
        "archive": Parser([_line(INCIDENT)], partial(_import, ".jsonl"), (ArchiveError,)),
        "Markdown": Parser([PAGE], _read_markdown),
        "question": Parser(QUESTIONS, _ask),
    }


def _live() -> Iterator[tuple[str, Parser]]:
    errors = (BodyUnreadable, BodyTooLarge)
    for kind, record_type in RECORD_TYPES.items():
        samples = [json.dumps([EXAMPLES[kind]]).encode(), json.dumps(EXAMPLES[kind]).encode() + b"\n{}\n"]
        yield f"kind {kind}", Parser(samples, partial(_decode, kind_receiver(record_type)), errors)
    for name, receiver in discover().items():
        for topic in TOPICS if name == "otlp" else [""]:
            samples = [_line(document) for document in DOCUMENTS[f"{name} {topic}".strip()]]
            yield f"receiver {name} {topic}", Parser(samples, partial(_decode, receiver, topic=topic), errors)
    for topic, message in TOPICS.items():
        sample = ParseDict(DOCUMENTS[f"otlp {topic}"][0], message()).SerializeToString()
        binary = partial(_decode, discover()["otlp"], topic=topic, content_type="application/x-protobuf")
        yield f"receiver otlp {topic}, binary", Parser([sample], binary, errors)


def _decode(receiver: Receiver, body: bytes, _: Path, **how: Any) -> None:
    decoded = receiver.decode(Message(body=body, received_at=AT, **how))
    for _index, record in decoded.records:
        assert type(record).model_validate(record.model_dump()) == record
        record.model_dump_json()


def _unpack(coding: str, body: bytes, _: Path) -> None:
    with MemoryBudget(2**30).share() as take:
        unpack(body, coding, 2**26, take)


def _prove(body: bytes, _: Path) -> None:
    headers = {"webhook-timestamp": body.decode("latin-1"), "webhook-signature": "v1,x"}
    assert not standard_webhook("whsec_aaaa", headers, b"{}", AT)


def _rewrite(body: bytes, _: Path) -> None:
    """Change it in every way there is: what was JSON is JSON after it."""
    transcript = read_transcript(body)
    if transcript is None:
        return
    edits = [edit for turn in transcript.turns for edit in append_text(transcript.conversation, turn, ["a"])]
    orjson.loads(splice(body, edits))
    orjson.loads(with_api_editing(body, 1000))
    raw_overhead(transcript.conversation)
    cut = make_cut(transcript, 10.0)
    if cut is not None:
        note_of(transcript, cut)
        orjson.loads(splice(body, cut_edits(transcript, cut)))


def _inflate(body: bytes, _: Path) -> None:
    asyncio.run(decoded_body(body, "gzip"))


def _capture(body: bytes, _: Path) -> None:
    for is_stream, coding in ((True, ""), (False, ""), (True, "gzip")):
        capture = ReplyCapture(is_stream=is_stream, coding=coding)
        for start in range(0, len(body), 4096):
            capture.feed(body[start : start + 4096])
        reply = capture.end()
        assert isinstance(reply.text, str)
        reply.usage  # noqa: B018


def _map(body: bytes, path: Path) -> None:
    load_mapping(RequestRecord, _written(body, path))


def _load(suffix: str, body: bytes, path: Path) -> None:
    for _ in read_batches(_written(body, path.with_suffix(suffix)), ColumnMapping(RequestRecord), 100):
        pass


def _price(body: bytes, path: Path) -> None:
    PriceList.load(_written(body, path))


def _import(suffix: str, body: bytes, path: Path) -> None:
    reader = ArchiveReader([_written(body, path.with_suffix(suffix))], ImportDefaults(zone=UTC))
    reader.open()
    while reader.next_batch():
        pass


def _read_markdown(body: bytes, _: Path) -> None:
    text = body.decode(errors="replace")
    assert [*sections(text), *text_blocks(text), title_of(text)]


def _ask(body: bytes, _: Path) -> None:
    text = read_text(body.decode(errors="surrogateescape")[:MAX_QUESTION_CHARACTERS])
    form_of(text.english)
    read_times(text.english, AT)


def _line(document: Any) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _written(body: bytes, path: Path) -> Path:
    path.write_bytes(body)
    return path
