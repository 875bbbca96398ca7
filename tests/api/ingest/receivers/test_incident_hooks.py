"""PagerDuty, incident.io, Statuspage and LaunchDarkly: incidents, maintenance and changes from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded
from api.ingest.records import AlertRecord, ChangeRecord, MaintenanceRecord, NotificationRecord
from api.ingest.store.alerts import plan_incidents
from tests.api.ingest.receivers.conftest import of_type

Decode = Callable[..., Decoded]
START, LATER, END = "2026-11-29T12:00:00Z", "2026-11-29T12:05:00Z", "2026-11-29T13:00:00Z"


def pagerduty(event: str, status: str, at: str = START, **changes: Any) -> bytes:
    incident = {
        "id": "Q1", "type": "incident", "title": "Slow", "status": status, "created_at": START,
        "urgency": "high", "service": {"summary": "gpt-4/aws"}, "priority": None,
    } | changes  # fmt: skip
    document = {"id": "e", "event_type": f"incident.{event}", "occurred_at": at, "data": incident}
    return json.dumps({"event": document}).encode()


def incidentio(event: str, category: str, **changes: Any) -> bytes:
    incident = {
        "id": "01F", "name": "Slow", "summary": "p95 above 10 s", "created_at": START, "updated_at": END,
        "severity": {"name": "Major", "rank": 2}, "incident_status": {"category": category},
        "incident_timestamp_values": [
            {"incident_timestamp": {"name": "Resolved at"}, "value": {"value": LATER}},
            {"incident_timestamp": {"name": "Closed at"}, "value": None},
        ],
    } | changes  # fmt: skip
    event_type = f"public_incident.incident_{event}_v2"
    content = {"incident": incident, "message": "x"} if event == "status_updated" else incident
    return json.dumps({"event_type": event_type, event_type: content}).encode()


def statuspage(status: str, **changes: Any) -> bytes:
    incident = {
        "id": "k1", "name": "Elevated errors", "status": status, "impact": "minor", "created_at": START,
        "updated_at": END, "resolved_at": LATER if status == "resolved" else None,
        "components": [{"name": "API"}], "incident_updates": [{"body": "Fixed."}, {"body": "We look at it."}],
    } | changes  # fmt: skip
    return json.dumps({"page": {"id": "p"}, "incident": incident}).encode()


HOOKS: dict[str, tuple[bytes, bytes]] = {
    "pagerduty": (pagerduty("acknowledged", "acknowledged"), pagerduty("resolved", "resolved", LATER)),
    "incidentio": (incidentio("created", "live"), incidentio("status_updated", "closed")),
    "statuspage": (statuspage("investigating"), statuspage("resolved")),
}


@pytest.mark.parametrize("name", HOOKS)
def test_an_incident_from_elsewhere_begins_and_ends_once(decode: Decode, name: str) -> None:
    """In both orders and repeated, its events are one incident with the times that the sender states."""
    begin, end = HOOKS[name]
    for bodies in ((begin, begin, end, end), (end, begin, end), (begin, end, begin)):
        records: Any = [each for body in bodies for each in of_type(decode(name, body), AlertRecord)]
        (incident,) = plan_incidents(records, {}).touched.values()
        assert incident["started_at"].isoformat() == "2026-11-29T12:00:00+00:00"
        assert incident["resolved_at"].isoformat() == "2026-11-29T12:05:00+00:00"


def test_an_incident_is_as_severe_as_it_ever_was(decode: Decode) -> None:
    """Whichever report comes first."""
    bodies = [statuspage("investigating"), statuspage("identified", impact="critical")]
    for some in (bodies, bodies[::-1]):
        records: Any = [each for body in some for each in of_type(decode("statuspage", body), AlertRecord)]
        (incident,) = plan_incidents(records, {}).touched.values()
        assert incident["severity"] == "critical"


def test_pagerduty_tells_whom_it_called(decode: Decode) -> None:
    """A trigger is a notification too; a priority counts before the urgency; what has no state is skipped."""
    decoded = decode("pagerduty", pagerduty("triggered", "triggered", priority={"summary": "SEV-1"}))
    (alert,), (sent,) = of_type(decoded, AlertRecord), of_type(decoded, NotificationRecord)
    found: Any = alert
    assert (found.alert, found.target, found.severity) == ("pd_Q1", "gpt-4/aws", "critical")
    assert (sent.channel, sent.subject) == ("gpt-4/aws", "Slow")  # type: ignore[attr-defined]
    ping = {"event": {"id": "e", "event_type": "pagey.ping", "occurred_at": START, "data": {"type": "ping"}}}
    assert decode("pagerduty", json.dumps(ping).encode()).skipped == {"another event": 1}


def test_an_incident_that_is_reopened_is_another_outbreak(decode: Decode) -> None:
    """It was over in between."""
    bodies = [*HOOKS["pagerduty"], pagerduty("reopened", "triggered", END)]
    records: Any = [each for body in bodies for each in of_type(decode("pagerduty", body), AlertRecord)]
    first, second = plan_incidents(records, {}).touched.values()
    assert first["resolved_at"] < second["started_at"]
    assert second["resolved_at"] is None


def test_private_incidents_are_left(decode: Decode) -> None:
    """They come without content."""
    private = {"event_type": "private_incident.incident_created_v2", "private_incident.x": {"id": "1"}}
    assert decode("incidentio", json.dumps(private).encode()).skipped == {"another event": 1}


def test_a_page_is_about_the_backend_that_its_address_names(decode: Decode) -> None:
    """Scheduled work is maintenance of it; without a backend it is skipped, and the sender told why."""
    planned = statuspage("scheduled", scheduled_for=LATER, scheduled_until=END)
    (window,) = of_type(decode("statuspage", planned, about="openai"), MaintenanceRecord)
    assert (window.backend, window.reason) == ("openai", "Elevated errors")  # type: ignore[attr-defined]
    nameless = decode("statuspage", planned)
    assert nameless.skipped == {"maintenance of no backend": 1}
    assert "?about=BACKEND" in nameless.notes[0]
    (incident,) = of_type(decode("statuspage", statuspage("investigating"), about="openai"), AlertRecord)
    found: Any = incident
    assert (found.target, found.severity, found.symptoms) == ("openai", "medium", "API\nWe look at it.")
    component = {"page": {"id": "p"}, "component_update": {"new_status": "operational"}}
    assert decode("statuspage", json.dumps(component).encode()).skipped == {"component": 1}


def test_a_flag_that_was_turned_is_a_change(decode: Decode) -> None:
    """With what was done, where, by whom and when."""
    entry = {
        "_id": "57c", "date": 1795953600000, "kind": "flag", "name": "New model", "titleVerb": "turned on",
        "accesses": [{"action": "updateOn", "resource": "proj/web:env/production:flag/new-model"}],
        "member": {"email": "ann@example.com"},
    }  # fmt: skip
    (change,) = of_type(decode("launchdarkly", json.dumps(entry).encode()), ChangeRecord)
    found: Any = change
    assert (found.id, found.target, found.parameter) == ("ld_57c", "web/production", "flag/new-model")
    assert (found.new_value, found.changed_by) == ("turned on", "ann@example.com")
    assert found.changed_at.isoformat() == "2026-11-29T12:00:00+00:00"
    late = decode("launchdarkly", json.dumps(entry | {"date": 1e300}).encode())
    assert [each.field for each in late.rejects] == ["date"]


@pytest.mark.parametrize("name", ["pagerduty", "incidentio", "statuspage", "launchdarkly"])
@pytest.mark.parametrize("body", [b"[]", b'{"event_type": 3}', b'{"page": 1, "event": 2}', b"[" * 10_000])
def test_what_is_no_hook_is_refused(decode: Decode, name: str, body: bytes) -> None:
    """With the name of the sender whose format it is not."""
    with pytest.raises(BodyUnreadable, match="is n"):
        decode(name, body)
