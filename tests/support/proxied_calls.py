"""Records of requests that went through the proxy."""

from __future__ import annotations

from datetime import UTC, datetime

from api.proxy.call import CallRecord
from api.proxy.client.credentials import ProxyUser
from api.proxy.lifecycle import State, Transition

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def record(number: int) -> CallRecord:
    """A completed request."""
    return CallRecord(
        id=f"req_{number}", received_at=NOON, is_message=True, user=ProxyUser("user_a"),
        model="claude-opus-5-5", model_is_confirmed=True, upstream="anthropic", attempts=1, status=200,
        state=State.COMPLETED, transitions=(Transition(State.RECEIVED, 0.0),), latency_ms=5.0,
        first_byte_ms=1.0, usage={"input_tokens": 1}, stop_reason=None, error=None, error_message="",
        upstream_request_id=None, conversation=None, turn=None, changes=(),
    )  # fmt: skip
