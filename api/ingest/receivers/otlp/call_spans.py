"""Spans of model calls, each call counted once, whatever reports it and how often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from api.ingest.live.message import Decoded, IngestOptions, Reject
from api.ingest.live.redaction import redacted_error
from api.ingest.live.request_fields import (
    UNROUTED,
    Unusable,
    cost_of,
    deployment_of,
    failure_status,
    latency_ms,
    made_id,
    moment_of,
    name,
    request_record,
)
from api.ingest.receivers.otlp.telemetry import (
    ADDRESS,
    COMPLETION_TOKENS,
    COST,
    ERROR_TYPE,
    HTTP_STATUS,
    KIND,
    MODEL,
    OPERATION,
    PORT,
    PROMPT_TOKENS,
    PROVIDER,
    REQUEST_TYPE,
    RESPONSE_ID,
    USER,
    Span,
    first,
)
from api.ingest.records import ErrorRecord, Record
from models import LogSeverity, RequestStatus

_OPERATIONS = {
    "chat": "chat",
    "text_completion": "completion",
    "generate_content": "chat",
    "embeddings": "embedding",
}
_KINDS = {"LLM": "chat", "EMBEDDING": "embedding"}
_REQUEST_TYPES = {"chat": "chat", "completion": "completion", "embedding": "embedding"}
_FAULTS_OF_CLIENTS = (
    "BadRequest",
    "InvalidRequest",
    "NotFound",
    "Unprocessable",
    "Permission",
    "Authentication",
)
"""Beginnings of the names of errors whose text may quote a prompt."""
_MAX_OVERLAPS = 200
"""Calls before a span that are looked at for one that contains it."""
_MAX_DEPTH = 100


def decode_spans(spans: Sequence[Span], options: IngestOptions, decoded: Decoded) -> None:
    """Add the requests of spans, and the errors of those that failed."""
    calls: dict[int, str] = {}
    for index, span in enumerate(spans):
        if span.scope in options.ignored_scopes:
            decoded.skipped["ignored scope"] += 1
        elif (task := task_of(span)) is None:
            decoded.skipped["no model call"] += 1
        else:
            calls[index] = task
    nested = _containing(spans, calls.keys())
    twice = _reported_twice(spans, [index for index in calls if index not in nested])
    for reason, indices in (("nested", nested), ("reported twice", twice)):
        if indices:
            decoded.skipped[reason] += len(indices)
    counted = {index: task for index, task in calls.items() if index not in nested and index not in twice}
    sampled = sum(
        _add_records(index, spans[index], task, options, decoded) for index, task in counted.items()
    )
    if sampled:
        decoded.notes.append(f"sampled: {sampled} spans say that others were left out; counts are too small")


def _add_records(index: int, span: Span, task: str, options: IngestOptions, decoded: Decoded) -> bool:
    """Add what one call becomes; return True if it stands for others that were left out."""
    try:
        for record in _records(span, task, options):
            decoded.records.append((index, record))
    except Unusable as error:
        decoded.rejects.append(Reject(index, error.field, error.reason))
        return False
    return span.is_sampled


def task_of(span: Span) -> str | None:
    """Return what kind of model call a span is; None if it is none."""
    attributes = span.attributes
    return (
        _OPERATIONS.get(str(attributes.get(OPERATION)))
        or _KINDS.get(str(attributes.get(KIND)))
        or _REQUEST_TYPES.get(str(attributes.get(REQUEST_TYPE)))
    )


def request_id(trace_id: str, span_id: str) -> str:
    """Return the id of the request that a span becomes."""
    return made_id("otel_", trace_id, span_id)


def _containing(spans: Sequence[Span], calls: Collection[int]) -> set[int]:
    """Return the calls that contain other calls: they restate what those say."""
    by_id = {(span.trace_id, span.span_id): index for index, span in enumerate(spans)}
    nested = set[int]()
    for index in calls:
        above = by_id.get((spans[index].trace_id, spans[index].parent_id))
        for _ in range(_MAX_DEPTH):
            if above is None or above in nested or above == index:
                break
            if above in calls:
                nested.add(above)
            above = by_id.get((spans[above].trace_id, spans[above].parent_id))
    return nested


def _reported_twice(spans: Sequence[Span], calls: Sequence[int]) -> set[int]:
    """Return the calls that another library in the same service reports too, in a trace of its own.

    Only the response id links the two, and calls that failed have none: one contains the other in time.
    """
    if len({spans[index].scope for index in calls}) <= 1:
        return set()
    groups: defaultdict[tuple[str, object], list[int]] = defaultdict(list)
    for index in sorted(calls, key=lambda each: (spans[each].start_ns, -spans[each].end_ns)):
        groups[spans[index].service, first(spans[index].attributes, PROVIDER)].append(index)
    outer: set[int] = set()
    for group in groups.values():
        if len({spans[index].scope for index in group}) == 1:
            continue
        matched: set[int] = set()
        for place, index in enumerate(group):
            before: Iterable[int] = reversed(group[max(0, place - _MAX_OVERLAPS) : place])
            found = next(
                (each for each in before if each not in matched and _is_same_call(spans[each], spans[index])),
                None,
            )
            if found is not None:
                matched |= {found, index}
                outer.add(found)
    return outer


def _is_same_call(outer: Span, inner: Span) -> bool:
    if outer.scope == inner.scope or outer.end_ns < inner.end_ns:
        return False
    if _has_failed(outer) != _has_failed(inner):
        return False
    ids = outer.attributes.get(RESPONSE_ID), inner.attributes.get(RESPONSE_ID)
    if all(ids):
        return ids[0] == ids[1]
    models = first(outer.attributes, MODEL), first(inner.attributes, MODEL)
    return None in models or models[0] == models[1]


def _has_failed(span: Span) -> bool:
    return span.is_error or ERROR_TYPE in span.attributes


def _records(span: Span, task: str, options: IngestOptions) -> list[Record]:
    attributes = span.attributes
    status, error_class = RequestStatus.SUCCESS, ""
    if _has_failed(span):
        error_class = _error_class(str(attributes.get(ERROR_TYPE) or span.exception or "Error"))
        code = attributes.get(HTTP_STATUS)
        status = failure_status(code if isinstance(code, int) else None, error_class)
    model, backend = _deployment(span, error_class)
    cost = first(attributes, COST)
    values = {
        "id": request_id(span.trace_id, span.span_id),
        "created_at": moment_of("startTimeUnixNano", span.start_ns / 1e9),
        "user": name(str(first(attributes, USER) or span.service or "unknown")),
        "model": model,
        "backend": backend,
        "status": status,
        "error_code": None if status is RequestStatus.SUCCESS else name(error_class),
        "latency_ms": latency_ms((span.end_ns - span.start_ns) / 1e9),
        "cost_usd": cost_of(COST[0], float(cost)) if isinstance(cost, int | float) else None,
        "prompt_tokens": _tokens(span, PROMPT_TOKENS),
        "completion_tokens": _tokens(span, COMPLETION_TOKENS),
        "task_type": task,
        "routing_reason": {"trace_id": name(span.trace_id)},
    }
    records: list[Record] = [request_record(options.tier, values)]
    if status is not RequestStatus.SUCCESS:
        records.append(_error_line(span, error_class, status, f"{model}/{backend}"))
    return records


def _deployment(span: Span, error_class: str) -> tuple[str, str]:
    if error_class.startswith("NotFound"):
        return UNROUTED
    attributes = span.attributes
    address = str(attributes.get(ADDRESS, ""))
    if address and PORT in attributes and attributes[PORT] not in (80, 443):
        address = f"{address}:{attributes[PORT]}"
    provider, model = first(attributes, PROVIDER), first(attributes, MODEL)
    return deployment_of(str(model or ""), str(provider or "unknown"), address)


def _error_class(error_type: str) -> str:
    """Return the name that all libraries could agree on: overloaded_error is OverloadedError."""
    plain = error_type.rpartition(".")[2]
    return "".join(part[:1].upper() + part[1:] for part in plain.split("_")) if "_" in plain else plain


def _tokens(span: Span, names: tuple[str, ...]) -> int | None:
    count: Any = first(span.attributes, names)
    return count if isinstance(count, int) and 0 <= count <= 1_000_000_000 else None  # noqa: PLR2004


def _error_line(span: Span, error_class: str, status: RequestStatus, target: str) -> ErrorRecord:
    # What a client did wrong may quote what it sent.
    text = "" if error_class.startswith(_FAULTS_OF_CLIENTS) else redacted_error(span.message)
    return ErrorRecord.model_construct(
        logged_at=moment_of("endTimeUnixNano", max(span.start_ns, span.end_ns) / 1e9),
        severity=LogSeverity.WARNING if status is RequestStatus.RATE_LIMITED else LogSeverity.ERROR,
        target="gateway" if target == "/".join(UNROUTED) else target,
        message=name(error_class) + (f": {text}" if text else ""),
    )
