"""OTLP in JSON: ids are hexadecimal, 64-bit integers are text, enums are numbers or names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from api.ingest.live.items import repair
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

_SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


class _Attribute(Struct, gc=False):
    key: str = ""
    value: Raw = Raw(b"{}")


class _Value(Struct, gc=False, rename="camel"):
    string_value: str | None = None
    int_value: str | int | None = None
    double_value: float | None = None
    bool_value: bool | None = None


class _Attributed(Struct, gc=False):
    name: str = ""
    attributes: list[_Attribute] = field(default_factory=list)


class _Status(Struct, gc=False):
    code: int | str = 0
    message: str = ""


class _Span(_Attributed, gc=False, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    trace_state: str = ""
    start_time_unix_nano: str | int = 0
    end_time_unix_nano: str | int = 0
    status: _Status = field(default_factory=_Status)
    events: list[_Attributed] = field(default_factory=list)


class _LogRecord(_Attributed, gc=False, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    time_unix_nano: str | int = 0
    observed_time_unix_nano: str | int = 0
    severity_number: int | str = 0
    event_name: str = ""
    body: Raw = Raw(b"{}")


class _Scope(Struct, gc=False, rename="camel"):
    scope: _Attributed = field(default_factory=_Attributed)
    spans: list[_Span] = field(default_factory=list)
    log_records: list[_LogRecord] = field(default_factory=list)


class _Resource(Struct, gc=False, rename="camel"):
    resource: _Attributed = field(default_factory=_Attributed)
    scope_spans: list[_Scope] = field(default_factory=list)
    scope_logs: list[_Scope] = field(default_factory=list)


class _Request(Struct, gc=False, rename="camel"):
    resource_spans: list[_Resource] = field(default_factory=list)
    resource_logs: list[_Resource] = field(default_factory=list)


_REQUEST = msgspec.json.Decoder(_Request)
_VALUE = msgspec.json.Decoder(_Value)


def read_spans(body: bytes) -> list[Span]:
    """Return the spans of a body. Raises msgspec.DecodeError."""
    spans = []
    for resource in _request(body).resource_spans:
        service = str(_attributes(resource.resource.attributes, OF_RESOURCES).get("service.name", ""))
        for scope in resource.scope_spans:
            spans += [_span(span, scope.scope.name, service) for span in scope.spans]
    return spans


def _span(span: _Span, scope: str, service: str) -> Span:
    exceptions = (_attributes(event.attributes, frozenset({EXCEPTION})) for event in span.events)
    return Span(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=span.parent_span_id.lower(),
        start_ns=_whole(span.start_time_unix_nano),
        end_ns=_whole(span.end_time_unix_nano),
        is_error=span.status.code in (2, "STATUS_CODE_ERROR"),
        message=span.status.message,
        exception=next((str(each[EXCEPTION]) for each in exceptions if EXCEPTION in each), ""),
        is_sampled=is_sampled(span.trace_state),
        scope=scope,
        service=service,
        attributes=_attributes(span.attributes, OF_SPANS),
    )


def read_logs(body: bytes) -> list[LogLine]:
    """Return the log records of a body. Raises msgspec.DecodeError."""
    lines = []
    for resource in _request(body).resource_logs:
        service = str(_attributes(resource.resource.attributes, OF_RESOURCES).get("service.name", ""))
        for scope in resource.scope_logs:
            lines += [_log_line(record, service) for record in scope.log_records]
    return lines


def _log_line(record: _LogRecord, service: str) -> LogLine:
    severity = record.severity_number
    if isinstance(severity, str):
        severity = _SEVERITIES.get(severity.removeprefix("SEVERITY_NUMBER_").rstrip("234"), 0)
    # Of a severity that is not kept, the body is not even read: it may be a prompt.
    return LogLine(
        trace_id=record.trace_id.lower(),
        span_id=record.span_id.lower(),
        time_ns=_whole(record.time_unix_nano) or _whole(record.observed_time_unix_nano),
        severity=severity,
        event=record.event_name,
        body=str(_scalar(record.body) or "") if severity >= MIN_KEPT_SEVERITY else "",
        service=service,
        attributes=_attributes(record.attributes, OF_LOGS),
    )


def _request(body: bytes) -> _Request:
    try:
        return _REQUEST.decode(body)
    except msgspec.DecodeError:
        return _REQUEST.decode(repair(body))


def _whole(value: str | int) -> int:
    return value if isinstance(value, int) else int(value) if value.isdecimal() else 0


def _attributes(attributes: Iterable[_Attribute], wanted: frozenset[str]) -> dict[str, Scalar]:
    return {
        each.key: value
        for each in attributes
        if each.key in wanted and (value := _scalar(each.value)) is not None
    }


def _scalar(raw: Raw) -> Scalar | None:
    try:
        value: Any = _VALUE.decode(raw)
    except msgspec.ValidationError:
        return None
    if value.int_value is not None:
        return _whole(value.int_value)
    for scalar in (value.string_value, value.double_value, value.bool_value):
        if scalar is not None:
            found: Scalar = scalar
            return found
    return None
