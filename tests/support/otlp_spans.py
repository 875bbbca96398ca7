"""Spans of model calls as OTLP has them, as small as a test needs them."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]

START_NS = 1795956803544888588
CANARY = "the-prompt-of-somebody"
NEW: dict[str, Any] = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude",
    "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3, "gen_ai.response.id": "msg_LOOP",
    "gen_ai.input.messages": CANARY,
}  # fmt: skip


def attribute(name: str, value: str | float) -> dict[str, Any]:
    kind = {str: "stringValue", int: "intValue", float: "doubleValue"}[type(value)]
    return {"key": name, "value": {kind: str(value) if kind == "intValue" else value}}


def span(number: int, values: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A call of 100 ms that begins `number` seconds after the first."""
    start = START_NS + number * 10**9
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 10**8),
        "attributes": [attribute(name, value) for name, value in (NEW if values is None else values).items()],
    } | changes


def traces(**scopes: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"attributes": [attribute("service.name", "gateway")]}
    given = [{"scope": {"name": name}, "spans": spans} for name, spans in scopes.items()]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": given}]}


def as_protobuf(document: dict[str, Any], message: Any) -> bytes:
    """The same in protobuf, where ids are bytes."""
    text = json.dumps(document)
    for found in document["resourceSpans"][0]["scopeSpans"]:
        for each in found["spans"]:
            for name in ("traceId", "spanId"):
                packed = base64.b64encode(bytes.fromhex(each[name])).decode()
                text = text.replace(f'"{each[name]}"', f'"{packed}"')
    sent: bytes = ParseDict(json.loads(text), message).SerializeToString()
    return sent
