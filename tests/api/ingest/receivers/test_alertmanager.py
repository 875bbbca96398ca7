"""Alertmanager: each alert of a group speaks for itself, and an outbreak is one incident."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded
from api.ingest.records import AlertRecord
from api.ingest.store.alerts import plan_incidents
from tests.api.ingest.receivers.conftest import of_type

Decode = Callable[..., Decoded]
START, END, NEVER = "2026-11-29T12:41:11.586675411Z", "2026-11-29T12:47:18Z", "0001-01-01T00:00:00Z"


def alert(status: str = "firing", **changes: Any) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "LatencyHigh", "model": "llama", "backend": "own", "severity": "page"},
        "annotations": {"summary": "Slow", "description": "p95 above 10 s"},
        "startsAt": START,
        "endsAt": END if status == "resolved" else NEVER,
        "generatorURL": "http://127.0.0.1/graph",
        "fingerprint": "f00",
    } | changes


def group(*alerts: dict[str, Any], status: str = "firing", truncated: int = 0) -> bytes:
    values = {"version": "4", "status": status, "alerts": alerts, "truncatedAlerts": truncated}
    return json.dumps(values).encode()


def alerts_of(decoded: Decoded) -> Sequence[Any]:
    return of_type(decoded, AlertRecord)


def test_each_alert_of_a_group_has_its_own_state(decode: Decode) -> None:
    """The state of the group says nothing; the year 1 is no end; labels name target and severity."""
    sent = group(alert(), alert("resolved", fingerprint="f01", labels={"instance": "gpu-a"}, annotations={}))
    firing, resolved = alerts_of(decode("alertmanager", sent))
    assert (firing.status, firing.ends_at, firing.severity) == ("firing", None, "critical")
    assert (firing.alert, firing.target, firing.title) == ("am_f00", "llama/own", "Slow")
    assert "p95 above 10 s" in firing.symptoms
    assert (resolved.status, resolved.severity, resolved.target) == ("resolved", "medium", "gpu-a")
    assert resolved.ends_at > resolved.starts_at
    assert resolved.title == "alert without a name"


def test_what_is_no_incident_is_skipped_and_what_is_missing_is_told(decode: Decode) -> None:
    """A heartbeat always fires; alerts that were left out of the group are noted; a bad one is named."""
    beat = alert(labels={"alertname": "Watchdog"})
    decoded = decode("alertmanager", group(beat, alert(startsAt="soon"), alert(), truncated=3))
    assert decoded.skipped == {"heartbeat": 1}
    assert [index for index, _ in decoded.records] == [2]
    assert [(each.index, each.field) for each in decoded.rejects] == [(1, "starts_at")]
    assert "left out 3 alerts" in decoded.notes[0]
    with pytest.raises(BodyUnreadable, match="Alertmanager"):
        decode("alertmanager", b'{"alerts": 3}')


def test_the_recorded_group_is_three_incidents(decode: Decode, recording: Callable[[str], bytes]) -> None:
    """Fires, is resolved one by one, fires again with an earlier start, and another ends by timeout."""
    names = (
        "firing_group", "one_resolved_in_firing_group", "resolved", "fires_again", "start_moved_back",
        "no_severity", "resolved_by_timeout", "firing_group",
    )  # fmt: skip
    bodies = [recording(f"alertmanager_{name}") for name in names]
    records = [each for body in bodies for each in alerts_of(decode("alertmanager", body))]
    incidents = plan_incidents(records, {}).touched.values()
    assert [(each["public_id"][:7], each["resolved_at"] is None) for each in incidents] == [
        ("am_6fba", False), ("am_7325", False), ("am_6fba", True), ("am_c5b1", False),
    ]  # fmt: skip
    assert all(each["resolved_at"] is None or each["resolved_at"] > each["started_at"] for each in incidents)
