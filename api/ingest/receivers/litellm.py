"""LiteLLM: what its `generic_api` callback posts, one payload for each attempt at a call."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct, field

from api.ingest.live.message import Decoded, Message, Receiver, Reject
from api.ingest.live.redaction import redacted_error, stored_text
from api.ingest.live.request_fields import (
    UNROUTED,
    Unusable,
    cost_of,
    deployment_of,
    failure_status,
    is_fault_of_client,
    latency_ms,
    made_id,
    moment_of,
    name,
    request_record,
)
from api.ingest.live.structs import StructDecoder
from api.ingest.records import ErrorRecord, HealthRecord, Record
from models import DeploymentStatus, LogSeverity, RequestStatus

PROBE = "litellm-internal-health-check"
"""Alias of the key under which LiteLLM calls its own deployments."""
SUCCESS = "success"
NOBODY = "unknown"
"""User of requests whose key is unknown; what was sent as a key is never stored."""
_KEY_HASH_LENGTH = 64
_HTTP_STATUS = re.compile("[1-5][0-9]{2}")
_TASKS = dict.fromkeys(("acompletion", "completion", "aresponses", "responses", "anthropic_messages"), "chat")
_TASKS |= dict.fromkeys(("aembedding", "embedding"), "embedding")


class Metadata(Struct, gc=False):
    """Who called."""

    user_api_key_user_id: str | None = None
    user_api_key_alias: str | None = None
    user_api_key_hash: str | None = None


class ErrorInformation(Struct, gc=False):
    """Why a call failed; texts are empty if it did not."""

    error_code: str | int | None = ""
    error_class: str | None = ""
    llm_provider: str | None = ""
    error_message: str | None = ""
    normalized_error: str | None = None


class CostBreakdown(Struct, gc=False):
    """What a call cost, in US dollars."""

    total_cost: float | None = None


class Payload(Struct, gc=False):
    """The wanted fields of a `StandardLoggingPayload`; prompt, reply and headers are not among them."""

    start: float = field(name="startTime")
    end: float = field(name="endTime")
    status: str
    id: str | None = ""
    litellm_call_id: str | None = ""
    trace_id: str | None = ""
    call_type: str | None = ""
    cache_hit: bool | None = None
    model: str | None = ""
    model_group: str | None = ""
    model_id: str | None = ""
    custom_llm_provider: str | None = ""
    api_base: str | None = ""
    response_cost: float | None = None
    cost_breakdown: CostBreakdown | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    metadata: Metadata | None = None
    error_information: ErrorInformation | None = None


_DECODER = StructDecoder(Payload)
_NO_METADATA, _NO_ERROR = Metadata(), ErrorInformation()


def decode(message: Message) -> Decoded:
    """Return a request for each attempt, the error of each that failed, and probes as health checks."""
    decoded, skewed = Decoded(), 0
    for index, payload in _DECODER.items(message, decoded):
        try:
            for record in _records(payload, message):
                decoded.records.append((index, record))
            skewed += payload.end < payload.start
        except Unusable as error:
            decoded.rejects.append(Reject(index, error.field, error.reason))
    if skewed:
        decoded.notes.append(f"clock skew: {skewed} ended before they started; they have no latency")
    return decoded


def _records(payload: Payload, message: Message) -> list[Record]:
    metadata = payload.metadata or _NO_METADATA
    error = payload.error_information or _NO_ERROR
    deployment = _deployment(payload, error)
    if metadata.user_api_key_alias == PROBE:
        return [_health_check(payload, error, deployment)]
    status = RequestStatus.SUCCESS if payload.status == SUCCESS else failure_status(*_failure(error))
    is_cached = bool(payload.cache_hit)
    latency = latency_ms(payload.end - payload.start)
    cost = payload.response_cost or (payload.cost_breakdown and payload.cost_breakdown.total_cost) or 0.0
    has_tokens = bool(payload.prompt_tokens or payload.completion_tokens)
    values = {
        "id": made_id("ll_", payload.litellm_call_id, payload.id, payload.start, payload.status),
        "created_at": moment_of("startTime", payload.start),
        "user": _user(metadata),
        "model": deployment[0],
        "backend": deployment[1],
        "status": status,
        "error_code": None if status is RequestStatus.SUCCESS else _error_code(error),
        # The time of a cache says nothing about a deployment.
        "latency_ms": None if is_cached else latency,
        "cost_usd": cost_of("response_cost", cost),
        # A stream without usage says 0 and 0, and so does a call that failed.
        "prompt_tokens": _tokens("prompt_tokens", payload.prompt_tokens) if has_tokens else None,
        "completion_tokens": _tokens("completion_tokens", payload.completion_tokens) if has_tokens else None,
        "task_type": "cache_hit" if is_cached else _task(payload.call_type),
        "routing_reason": _reason(payload, is_unpriced=has_tokens and not cost and not is_cached),
    }
    records: list[Record] = [request_record(message.options.tier, values)]
    if status is not RequestStatus.SUCCESS:
        records.append(_error_line(payload, error, deployment))
    return records


def _deployment(payload: Payload, error: ErrorInformation) -> tuple[str, str]:
    provider = payload.custom_llm_provider or error.llm_provider or ""
    if not payload.model_id and not provider:
        return UNROUTED
    return deployment_of(payload.model or "", provider, payload.api_base or "")


def _failure(error: ErrorInformation) -> tuple[int | None, str]:
    code = str(error.error_code)
    return int(code) if _HTTP_STATUS.fullmatch(code) else None, error.error_class or ""


def _error_code(error: ErrorInformation) -> str | None:
    return name(str(error.error_code or error.error_class or "")) or None


def _user(metadata: Metadata) -> str:
    if known := metadata.user_api_key_user_id or metadata.user_api_key_alias:
        return name(known)
    key = metadata.user_api_key_hash or ""
    # A key that was refused stands here as it was sent; one that is known is a hash, and is hashed again.
    is_hash = len(key) == _KEY_HASH_LENGTH and key.isalnum()
    return made_id("key_", key) if is_hash else NOBODY


def _tokens(field_name: str, count: int | None) -> int | None:
    if count is not None and not 0 <= count <= 1_000_000_000:  # noqa: PLR2004  as of a record
        raise Unusable(field_name, f"{count} is not accepted; from 0 to 1,000,000,000 are")
    return count


def _task(call_type: str | None) -> str | None:
    return _TASKS.get(call_type or "") or name(call_type or "") or None


def _reason(payload: Payload, *, is_unpriced: bool) -> dict[str, Any]:
    """Return what is told about the routing: attempts of one request of a user share a trace."""
    reason: dict[str, Any] = {}
    if payload.trace_id:
        reason["trace_id"] = name(payload.trace_id)
    if payload.model_group and payload.model_id:
        reason["model_group"] = name(payload.model_group)
    if payload.cache_hit:
        reason["cached_ms"] = latency_ms(payload.end - payload.start)
    if is_unpriced:
        reason["unpriced"] = True
    return reason


def _text(error: ErrorInformation) -> str:
    """Return what may be said about an error; those of clients quote what they sent."""
    code, error_class = _failure(error)
    known = f"{error_class} {error.normalized_error or error.error_code or ''}".strip()
    if is_fault_of_client(code) or not error.error_message:
        return stored_text(known, 300)
    return f"{stored_text(known, 300)}: {redacted_error(error.error_message)}"


def _error_line(payload: Payload, error: ErrorInformation, deployment: tuple[str, str]) -> ErrorRecord:
    code, _ = _failure(error)
    is_fault_of_gateway = code is None or code >= 500 or code == 408  # noqa: PLR2004  HTTP
    return ErrorRecord.model_construct(
        logged_at=moment_of("endTime", payload.end),
        severity=LogSeverity.ERROR if is_fault_of_gateway else LogSeverity.WARNING,
        target="gateway" if deployment == UNROUTED else "/".join(deployment),
        message=_text(error) or "failed without a reason",
    )


def _health_check(payload: Payload, error: ErrorInformation, deployment: tuple[str, str]) -> HealthRecord:
    is_healthy = payload.status == SUCCESS
    return HealthRecord.model_construct(
        deployment="/".join(deployment),
        checked_at=moment_of("startTime", payload.start),
        status=DeploymentStatus.HEALTHY if is_healthy else DeploymentStatus.DOWN,
        latency_ms=latency_ms(payload.end - payload.start) if is_healthy else None,
        error=None if is_healthy else _text(error),
    )


receiver = Receiver("litellm", decode)
