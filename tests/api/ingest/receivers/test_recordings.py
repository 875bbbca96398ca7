"""What real programs sent, and what users of others complain about: each gives the rows that it should."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.ingest.live.message import Decoded
from api.ingest.receivers.alertmanager import receiver as alertmanager
from api.ingest.records import AlertRecord, HealthRecord, RequestRecord
from tests.api.pollers.conftest import read as polled
from tests.api.pollers.conftest import target_of
from tests.support.litellm_payloads import payload, posted
from tests.support.otlp_spans import NEW, span, traces

Decode = Callable[..., Decoded]
Recording = Callable[[str], bytes]

RECORDINGS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "alertmanager_fires_again": ({"alerts": 1}, {}),
    "alertmanager_firing_group": ({"alerts": 2}, {}),
    "alertmanager_no_severity": ({"alerts": 1}, {}),
    "alertmanager_one_resolved_in_firing_group": ({"alerts": 2}, {}),
    "alertmanager_resolved": ({"alerts": 1}, {}),
    "alertmanager_resolved_by_timeout": ({"alerts": 1}, {}),
    "alertmanager_start_moved_back": ({"alerts": 1}, {}),
    "cloudevents_binary": ({"jobs": 1}, {}),
    "cloudevents_structured": ({"jobs": 1}, {}),
    "github_deployment_status": ({"jobs": 1}, {}),
    "litellm_health": ({}, {}),
    "litellm_proxy_bad_key": ({"requests": 1, "errors": 1}, {}),
    "litellm_proxy_fallback": ({"requests": 2, "errors": 1}, {}),
    "litellm_proxy_health_check_as_request": ({"health": 2}, {}),
    "litellm_proxy_same_call_id_twice": ({"requests": 2}, {}),
    "litellm_proxy_success": ({"requests": 1}, {}),
    "litellm_proxy_unknown_model": ({"requests": 1, "errors": 1}, {}),
    "litellm_readiness": ({"health": 1}, {}),
    "litellm_sdk_cache_miss_hit": ({"requests": 2}, {}),
    "litellm_sdk_router_retry_fallback": ({"requests": 3, "errors": 2}, {}),
    "litellm_sdk_stream_no_usage": ({"requests": 1}, {}),
    "litellm_sdk_timeout": ({"requests": 1, "errors": 1}, {}),
    "litellm_sdk_unpriced_model": ({"requests": 1}, {}),
    "otlp_logs_genai_openai": ({}, {"content of a call": 4}),
    "otlp_metrics_genai_openai": ({}, {"metrics": 1}),
    "otlp_traces_genai_anthropic_and_sdk": ({"requests": 4, "errors": 1}, {"nested": 4}),
    "otlp_traces_genai_openai": ({"requests": 5, "errors": 2}, {}),
    "otlp_traces_genai_openai_protobuf_request": ({"requests": 5, "errors": 2}, {}),
    "otlp_traces_openinference_openai": ({"requests": 4, "errors": 1}, {}),
    "otlp_traces_traceloop_anthropic_and_sdk": ({"requests": 4, "errors": 1}, {"reported twice": 4}),
}
"""Records by kind, and items that are skipped by reason."""


def test_every_recording_is_in_the_table(repository: Path) -> None:
    """A new one needs its row."""
    folder = repository.parent / "shared" / "data" / "wire"
    if not folder.exists():
        pytest.skip(f"the recorded bodies are not at {folder}")
    assert {path.stem for path in folder.glob("*.json")} == set(RECORDINGS)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_gives_its_rows(decode: Decode, recording: Recording, name: str) -> None:
    """Nothing is rejected, but for the health of every model, which is neither sent nor asked for."""
    sent = recording(name)
    kind, topic, *_ = name.split("_")
    headers = {}
    if kind == "cloudevents":
        document = json.loads(sent)
        sent, headers = json.dumps(document["body"]).encode(), document["headers"]
    if name.endswith("protobuf_request"):
        sent, headers = (
            base64.b64decode(json.loads(sent)["body_base64"]),
            {"content-type": "application/x-protobuf"},
        )
    if name == "litellm_readiness":
        decoded = polled(target_of("litellm"), sent).decoded
    else:
        decoded = decode(kind, sent, topic=topic, **headers)
    expected, skipped = RECORDINGS[name]
    assert Counter(record.kind for _, record in decoded.records) == expected
    assert decoded.skipped == skipped
    assert bool(decoded.rejects) == (name == "litellm_health")


def requests(decoded: Decoded) -> list[Any]:
    return [record for _, record in decoded.records if isinstance(record, RequestRecord)]


def start(**changes: float) -> dict[str, Any]:
    return payload() | {name: payload()["startTime"] + seconds for name, seconds in changes.items()}


COMPLAINTS: dict[str, tuple[list[Any], list[dict[str, Any]]]] = {
    "2: both callbacks fire, and write the members in another order": (
        [payload(), dict(reversed(payload().items()))], [{}, {}],
    ),
    "4: spend 0, a cost in the breakdown": (
        [payload(response_cost=0.0, cost_breakdown={"total_cost": 45.0})], [{"cost_usd": 45}],
    ),
    "5: a payload that is null": ([None, payload()], [{}]),
    "6: the start is the first byte": ([start(endTime=0.0)], [{"latency_ms": 0}]),
    "7: a negative latency": ([start(endTime=-5.0)], [{"latency_ms": None}]),
    "18: model names from clients": (
        [payload(each, model=f"m{each}", model_id="", custom_llm_provider=None) for each in range(10_000)],
        [{"model": "unrouted", "backend": "gateway"}] * 10_000,
    ),
    "21: a stream without usage": (
        [payload(prompt_tokens=0, completion_tokens=0)], [{"prompt_tokens": None, "completion_tokens": None}],
    ),
}  # fmt: skip
"""Numbers are those of the list of complaints that the receivers were designed for; the others are tested
where their subject is."""


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_what_users_of_others_complain_about_is_right_here(decode: Decode, complaint: str) -> None:
    """LiteLLM's payloads as they were reported; equal ones have one id."""
    sent, expected = COMPLAINTS[complaint]
    found = requests(decode("litellm", posted(*sent)))
    said = [{name: getattr(each, name) for name in row} for each, row in zip(found, expected, strict=True)]
    assert said == expected
    assert len({each.id for each in found}) == (1 if complaint.startswith("2") else len(found))


def test_reasoning_is_part_of_the_output(decode: Decode) -> None:
    """11: 1,970 tokens of output stay 1,970, whatever part of them was reasoning."""
    values = NEW | {"gen_ai.usage.output_tokens": 1970, "gen_ai.usage.reasoning.output_tokens": 1500}
    (call,) = requests(decode("otlp", json.dumps(traces(a=[span(0, values)])).encode(), topic="traces"))
    assert call.completion_tokens == 1970


def test_very_many_attributes_cost_only_their_bytes(decode: Decode) -> None:
    """22: a hundred thousand that nobody wants become nothing, beside a call that is kept."""
    values = NEW | {f"x{number}": number for number in range(100_000)}
    decoded = decode("otlp", json.dumps(traces(a=[span(0, values), span(1)])).encode(), topic="traces")
    assert len(requests(decoded)) == 2
    assert "x99999" not in repr(decoded)


def test_resolved_first_and_the_year_1(decode: Decode) -> None:
    """15, 16: an alert of which only the end came, without a label; one that fires has no end."""
    alert = {"fingerprint": "f00", "startsAt": "2026-11-29T12:00:00Z", "labels": {}, "annotations": {}}
    sent = [
        alert | {"status": "resolved", "endsAt": "2026-11-29T12:30:00Z"},
        alert | {"status": "firing", "endsAt": "0001-01-01T00:00:00Z"},
    ]
    decoded = decode(alertmanager.name, json.dumps({"alerts": sent}).encode())
    ends = [record.ends_at for _, record in decoded.records if isinstance(record, AlertRecord)]
    assert [end is None for end in ends] == [False, True]
    assert not [record for _, record in decoded.records if isinstance(record, HealthRecord)]
