"""OTLP in protobuf: attributes that are not wanted never become objects."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from api.ingest.receivers.otlp.telemetry import (
    EXCEPTION,
    MIN_KEPT_SEVERITY,
    OF_LOGS,
    OF_RESOURCES,
    OF_SPANS,
    LogLine,
    Scalar,
    Span,
    is_sampled,
)

_ERROR = Status.STATUS_CODE_ERROR
_SCALARS = {"string_value", "int_value", "double_value", "bool_value"}


def read_spans(body: bytes) -> list[Span]:
    """Return the spans of a body. Raises DecodeError."""
    spans = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(_attributes(resource.resource.attributes, OF_RESOURCES).get("service.name", ""))
        for scope in resource.scope_spans:
            spans += [_span(span, scope.scope.name, service) for span in scope.spans]
    return spans


def _span(span: trace_pb2.Span, scope: str, service: str) -> Span:
    status = span.status
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        is_error=status.code == _ERROR,
        message=status.message,
        exception=_exception(span.events) if span.events else "",
        is_sampled=is_sampled(span.trace_state),
        scope=scope,
        service=service,
        attributes=_attributes(span.attributes, OF_SPANS),
    )


def _exception(events: Iterable[trace_pb2.Span.Event]) -> str:
    attributes = (each for event in events for each in event.attributes)
    return next((each.value.string_value for each in attributes if each.key == EXCEPTION), "")


def read_logs(body: bytes) -> list[LogLine]:
    """Return the log records of a body. Raises DecodeError."""
    lines = []
    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        service = str(_attributes(resource.resource.attributes, OF_RESOURCES).get("service.name", ""))
        for scope in resource.scope_logs:
            lines += [
                LogLine(
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    time_ns=record.time_unix_nano or record.observed_time_unix_nano,
                    severity=record.severity_number,
                    event=record.event_name,
                    # Of a severity that is not kept, the body is not even read: it may be a prompt.
                    body=record.body.string_value if record.severity_number >= MIN_KEPT_SEVERITY else "",
                    service=service,
                    attributes=_attributes(record.attributes, OF_LOGS),
                )
                for record in scope.log_records
            ]
    return lines


def _attributes(attributes: Iterable[KeyValue], wanted: frozenset[str]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for each in attributes:
        # Every access makes an object: none twice.
        if (key := each.key) in wanted:
            value = each.value
            kind = value.WhichOneof("value")
            if kind in _SCALARS:
                found[key] = getattr(value, kind)
    return found
