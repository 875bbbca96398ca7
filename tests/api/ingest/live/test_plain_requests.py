"""The fast way of requests is the slow way, or it is not taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.ingest.live import items
from api.ingest.live.items import kind_receiver
from api.ingest.live.message import Decoded, Message
from api.ingest.live.plain_requests import plain_request
from api.ingest.records import RequestRecord
from models import Tier

GOOD: dict[str, Any] = {
    "id": "req_1",
    "created_at": "2026-11-20T10:00:00.123456+02:00",
    "user": "u",
    "model": "m",
    "backend": "b",
    "status": "success",
}
TEXTS = st.sampled_from(["", "a", "é" * 100, "a" * 101, "a" * 201, "a/b", "a\0b", "\\u0000", None, 5])
NUMBERS = st.sampled_from(
    [0, 1, -1, 7.5, 1e-10, 0.0000000015, 10_000, 10_001, 2_678_400_000, 2_678_400_001, 10**9, 10**9 + 1,
     1e400, "3", "NaN", True, None]
)  # fmt: skip
TIMES = st.sampled_from(
    ["2026-11-20", "20261120", "2026-11-20T10:00:00.1234567Z", "1999-12-31T23:59:59Z", "2026-11-20 10:00Z",
     "2099-12-31T23:59:59-01:00", "2026-W47-5T10:00Z", "2026-11-20 10:00:00 UTC", 1_763_632_800, ""]
)  # fmt: skip
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("id", "user", "model", "backend", "error_code", "endpoint", "task_type", "unknown"), TEXTS
        ),
        **dict.fromkeys(("latency_ms", "cost_usd", "prompt_tokens", "completion_tokens"), NUMBERS),
        "daily_budget_usd": NUMBERS,
        "created_at": TIMES,
        "status": st.sampled_from(["error", "Success", "none", ""]),
        "tier": st.sampled_from(["premium", "PREMIUM", "gold", "", None]),
        "routing_reason": st.just({"why": 1}),
    },
)


def decoded(values: dict[str, Any]) -> Decoded:
    message = Message(body=msgspec.json.encode([values]), received_at=datetime(2026, 12, 1, tzinfo=UTC))
    return kind_receiver(RequestRecord).decode(message)


@given(FIELDS)
@example({"user": "a\0b"})
@settings(max_examples=150, deadline=None)
def test_both_ways_read_the_same(changes: dict[str, Any]) -> None:
    """Record, stated fields, rejects and notes do not depend on the way."""
    values = GOOD | changes
    quick = decoded(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(items, "plain_request", lambda _raw, _tier: None)
        slow = decoded(values)
    assert quick == slow
    for (_, one), (_, other) in zip(quick.records, slow.records, strict=True):
        assert isinstance(one, RequestRecord)
        assert isinstance(other, RequestRecord)
        stated = {name for name in other.model_fields_set if getattr(other, name) is not None}
        assert one.model_fields_set - {"tier"} >= stated - {"tier"}
        assert ("tier" in one.model_fields_set) == ("tier" in other.model_fields_set)


def test_what_nearly_every_sender_writes_takes_the_fast_way() -> None:
    """All fields in the form of the documentation."""
    values = GOOD | {"tier": "premium", "cost_usd": 0.0021, "latency_ms": 812, "prompt_tokens": 400}
    assert plain_request(msgspec.json.encode(values), Tier.STANDARD) is not None
