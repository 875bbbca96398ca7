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
from tests.support.hostile_samples import (
    CONVERSATION,
    CSV,
    DOCUMENTS,
    EVENTS,
    INCIDENT,
    MAPPING,
    PAGE,
    PROXY_FILE,
    QUESTIONS,
    REPLY,
)
from tests.support.kinds_of_records import EXAMPLES

AT = datetime(2026, 11, 30, tzinfo=UTC)
TOPICS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}


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
