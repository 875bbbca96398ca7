"""How many items of foreign formats a second of CPU decodes, beside parsing alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.ingest.live.message import Message
from api.ingest.receivers import discover, litellm
from tests.bench.measure import QUICK, show
from tests.support.litellm_payloads import payload
from tests.support.otlp_spans import NEW, as_protobuf, span, traces

ITEMS = 512
"""Of a body; LiteLLM's default batch."""
REPEATS = 5 if QUICK else 60
PAYLOAD_BYTES = 12_500
"""Of one payload without prompts, most of it prices."""
PROTOBUF = "application/x-protobuf"


def decoding() -> None:
    """Prints the rate of each format at its fastest and in the middle, with that of parsing alone."""
    receivers = discover()
    prices = {f"{name}_{number}": None for number in range(300) for name in ("input_cost_per_token_above",)}
    spare = PAYLOAD_BYTES - len(json.dumps(payload(model_map_information={})))
    prices = dict(list(prices.items())[: spare // 41])
    payloads = json.dumps([payload(n, model_map_information=prices) for n in range(ITEMS)]).encode()
    document = traces(app=[span(number, NEW) for number in range(ITEMS)])
    spans, binary = json.dumps(document).encode(), as_protobuf(document, ExportTraceServiceRequest())
    whole = msgspec.json.Decoder(list[litellm.Payload])
    formats: list[tuple[str, bytes, str, Callable[[bytes], Any]]] = [
        ("litellm", payloads, "application/json", whole.decode),
        ("otlp", binary, PROTOBUF, ExportTraceServiceRequest.FromString),
        ("otlp", spans, "application/json", msgspec.json.decode),
    ]
    rows = []
    for name, body, content_type, parse in formats:
        message = Message(
            body=body, content_type=content_type, topic="traces", received_at=datetime(2027, 1, 1, tzinfo=UTC)
        )
        decode = receivers[name].decode
        assert len(decode(message).records) == ITEMS
        ours, alone = _rates(partial(decode, message)), _rates(partial(parse, body))
        rows.append(
            (f"{name}, {content_type}", f"{len(body) // ITEMS:,}", f"{ours[0]:,.0f}", f"{ours[1]:,.0f}",
             f"{alone[0]:,.0f}", f"{ours[1] / alone[1]:.2f}")
        )  # fmt: skip
    columns = ("format", "bytes", "a CPU-second", "median", "parsing alone", "ratio of medians")
    show("Items that are decoded, by format", columns, rows)


def _rates(work: Callable[[], object]) -> tuple[float, float]:
    """The fastest and the median rate."""
    rates = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        rates.append(ITEMS / (time.process_time() - started))
    return max(rates), sorted(rates)[len(rates) // 2]
