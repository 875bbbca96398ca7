"""Health follows from what servers count: whatever the names, over restarts, queues and silence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from api.ingest.records import HealthRecord, StateRecord
from api.pollers.fetching import PollFailed
from api.pollers.poll import Findings
from tests.api.pollers.conftest import NOON, read, target_of

TARGET = target_of("model_server")
VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="llama"}} 2.0
vllm:num_requests_running{{engine="1",model_name="llama"}} 1.0
vllm:num_requests_waiting{{engine="0",model_name="llama"}} {waiting}
vllm:kv_cache_usage_perc{{engine="0",model_name="llama"}} {cache}
vllm:kv_cache_usage_perc{{engine="1",model_name="llama"}} 0.1
# TYPE vllm:request_success_total counter
vllm:request_success_total{{engine="0",finished_reason="stop",model_name="llama"}} {finished}
vllm:request_success_total{{engine="0",finished_reason="length",model_name="llama"}} 3.0
vllm:e2e_request_latency_seconds_bucket{{le="1.0",model_name="llama"}} 2.0
vllm:e2e_request_latency_seconds_sum{{model_name="llama"}} {seconds}
vllm:e2e_request_latency_seconds_count{{model_name="llama"}} {finished}
"""
NAMES = {
    "vllm": {},
    "older vllm": {"kv_cache_usage_perc": "gpu_cache_usage_perc"},
    "sglang": {
        "num_requests_running": "num_running_reqs", "num_requests_waiting": "num_queue_reqs",
        "kv_cache_usage_perc": "token_usage", "request_success_total": "num_requests_total",
        "vllm:": "sglang:",
    },
    "tgi": {
        "vllm:num_requests_running": "tgi_batch_current_size", "vllm:num_requests_waiting": "tgi_queue_size",
        "vllm:request_success_total": "tgi_request_success",
        "vllm:e2e_request_latency_seconds": "tgi_request_duration",
        "vllm:kv_cache_usage_perc": "process_open_fds",
    },
}  # fmt: skip


def metrics(server: str = "vllm", **values: float) -> bytes:
    given = {"waiting": 0.0, "cache": 0.43, "finished": 10.0, "seconds": 20.0} | values
    text = VLLM.format(**given)
    for name, other in NAMES[server].items():
        text = text.replace(name, other)
    return text.encode()


def states(findings: Findings) -> list[str]:
    return [str(record.status) for _, record in findings.decoded.records if isinstance(record, HealthRecord)]


def polled(*bodies: bytes | str, every_s: float = 30) -> list[Findings]:
    """One poll after the other; text is silence."""
    memory: Mapping[str, Any] = {}
    found = []
    for number, body in enumerate(bodies):
        said: dict[str, Any] = {"silence": body} if isinstance(body, str) else {"body": body}
        at = NOON + timedelta(seconds=number * every_s)
        found.append(read(TARGET, **said, memory=memory, at=at))
        memory = found[-1].memory
    return found


@pytest.mark.parametrize("server", NAMES)
def test_each_server_says_the_same_in_its_own_names(server: str) -> None:
    """Engines add up, of their caches the fullest counts, and what was counted is since the last poll."""
    first, second = polled(metrics(server), metrics(server, finished=16, seconds=29))
    cache = "" if server == "tgi" else ", cache 43% full"
    assert first.summary == f"llama/own: 3 running, 0 waiting{cache}"
    assert second.summary == f"llama/own: 3 running, 0 waiting{cache}, 6 finished, 1.50 s on average"
    assert (states(first), states(second)) == (["healthy"], [])


def test_a_queue_is_trouble_when_it_stays_and_a_full_cache_at_once() -> None:
    """A burst in two polls is none; the reason says how long, or how full."""
    burst = polled(metrics(waiting=4), metrics(waiting=4), metrics(), metrics(waiting=4))
    assert [states(each) for each in burst] == [["healthy"], [], ["healthy"], []]
    (*_, stayed) = polled(*[metrics(waiting=4)] * 3)
    (_, record) = stayed.decoded.records[0]
    assert isinstance(record, HealthRecord)
    assert (record.status, record.error) == ("degraded", "4 requests wait, in 3 polls running")
    assert states(polled(metrics(cache=0.96))[0]) == ["degraded"]


def test_silence_is_an_outage_from_the_second_time_on() -> None:
    """One lost answer is none; changes are kept, and one check a minute."""
    found = polled(metrics(), "no answer", metrics(), "no answer", "no answer", "no answer", metrics())
    assert [states(each) for each in found] == [
        ["healthy"], [], ["healthy"], [], ["down"], [], ["healthy"],
    ]  # fmt: skip
    assert [states(each) for each in polled("no answer", "no answer")] == [[], ["down"]]


@pytest.mark.parametrize("server", ["vllm", "sglang", "tgi"])
def test_smaller_counters_are_a_restart(server: str) -> None:
    """It is a transition of its own, and no count is negative."""
    again = polled(metrics(server), metrics(server, finished=1, seconds=0.5))[1]
    (restart,) = (record for _, record in again.decoded.records if isinstance(record, StateRecord))
    assert (restart.deployment, restart.to_status) == ("llama/own", "healthy")
    assert "started again" in (restart.reason or "")
    assert "4 finished, 0.50 s on average" in (again.summary or "")


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    """The check of a minute that has already been is kept all the same."""
    first = read(TARGET, metrics(), at=NOON)
    assert states(read(TARGET, metrics(), first.memory, at=NOON - timedelta(hours=1))) == ["healthy"]


def test_a_server_of_several_models_is_several_deployments() -> None:
    """Where only the backend is known, the metrics name the model; without a name there is nothing to say."""
    target = target_of("model_server", deployment=None, backend="own")
    body = metrics() + metrics(cache=0.99).replace(b"llama", b"qwen")
    found = {
        record.deployment: str(record.status)
        for _, record in read(target, body).decoded.records
        if isinstance(record, HealthRecord)
    }
    assert found == {"llama/own": "healthy", "qwen/own": "degraded"}
    with pytest.raises(PollFailed, match="set `deployment`"):
        read(target, b"tgi_queue_size 3\n")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff" * 99, b'{"a": 1}', b"up 1\n", b"vllm:num_requests_running{ 3"]
)
def test_what_is_no_metrics_is_said_to_be_none(body: bytes) -> None:
    """And what is not a number counts nothing."""
    with pytest.raises(PollFailed, match=r"no metric of vLLM|not metrics"):
        read(TARGET, body)
    odd = metrics(waiting=float("nan"), cache=float("inf"), finished=-3.0)
    assert states(read(TARGET, odd)) == ["healthy"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status": "healthy", "db": "Not connected"}', ["healthy"]),
        (b'{"status": "connected", "db": "connected", "cache": "redis"}', ["healthy"]),
        (b'{"status": "healthy", "db": "disconnected"}', ["degraded"]),
        (b'{"status": "unhealthy"}', ["degraded"]),
    ],
)
def test_litellm_says_whether_it_is_ready(body: bytes, expected: list[str]) -> None:
    """A proxy that was set up without a database is as well as one that has it."""
    target = target_of("litellm")
    ready = read(target, body)
    assert states(ready) == expected
    silent = read(target, silence="HTTP status 503", memory=ready.memory)
    assert [states(silent), states(read(target, silence="x", memory=silent.memory))] == [[], ["down"]]
    with pytest.raises(PollFailed, match="not the readiness of LiteLLM"):
        read(target, b"[]")
