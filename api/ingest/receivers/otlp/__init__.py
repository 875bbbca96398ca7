"""OpenTelemetry over HTTP: spans of model calls become requests, logs become errors and scores."""

from __future__ import annotations

import msgspec
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from api.ingest.errors import BodyTooLarge, BodyUnreadable, UnknownWay
from api.ingest.live.message import Decoded, Message, Receipt, Receiver
from api.ingest.receivers.otlp import json_body, protobuf_body
from api.ingest.receivers.otlp.call_spans import decode_spans
from api.ingest.receivers.otlp.log_lines import decode_logs

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_SIGNALS = {"traces": "Spans", "logs": "LogRecords", "metrics": "DataPoints"}


def decode(message: Message) -> Decoded:
    """Return the requests of spans, or the errors and scores of logs; metrics are counted and left."""
    if message.topic not in _SIGNALS:
        accepted = ", ".join(f"/v1/otlp/v1/{name}" for name in _SIGNALS)
        raise UnknownWay(f"{message.topic!r} is no signal of OTLP; accepted are {accepted}")
    decoded = Decoded()
    if message.topic == "metrics":
        # Cumulative, without users, and beside the spans of the same calls.
        decoded.skipped["metrics"] += 1
        return decoded
    body = protobuf_body if message.content_type == PROTOBUF else json_body
    try:
        if message.topic == "traces":
            spans = body.read_spans(message.body)
            _check_count(len(spans), message)
            decode_spans(spans, message.options, decoded)
        else:
            lines = body.read_logs(message.body)
            _check_count(len(lines), message)
            decode_logs(lines, decoded)
    except (DecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is not OTLP as {message.content_type}: {error}") from None
    return decoded


def answer(message: Message, receipt: Receipt) -> tuple[bytes, str]:
    """Answer in the encoding of the request; what was rejected is said to be."""
    reason = "; ".join(f"{each.index}: {each.field}: {each.reason}" for each in receipt.rejects[:1])
    if message.content_type != PROTOBUF:
        partial = {f"rejected{_SIGNALS[message.topic]}": str(receipt.rejected), "errorMessage": reason}
        return msgspec.json.encode({"partialSuccess": partial} if receipt.rejected else {}), JSON
    if message.topic == "traces":
        traces = ExportTraceServiceResponse()
        if receipt.rejected:
            traces.partial_success.rejected_spans = receipt.rejected
            traces.partial_success.error_message = reason
        return traces.SerializeToString(), PROTOBUF
    if message.topic == "metrics":
        return ExportMetricsServiceResponse().SerializeToString(), PROTOBUF
    logs = ExportLogsServiceResponse()
    if receipt.rejected:
        logs.partial_success.rejected_log_records = receipt.rejected
        logs.partial_success.error_message = reason
    return logs.SerializeToString(), PROTOBUF


def _check_count(count: int, message: Message) -> None:
    limit = message.options.max_items
    if count > limit:
        raise BodyTooLarge(f"the body has {count:,} items; at most {limit:,} are accepted")


receiver = Receiver("otlp", decode, answer)
