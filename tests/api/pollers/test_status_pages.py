"""What is on a page is open, and what is no longer on it is over."""

from __future__ import annotations

from typing import Any

import pytest

from api.ingest.records import AlertRecord, MaintenanceRecord, Record
from api.pollers.fetching import PollFailed
from tests.api.pollers.conftest import NOON, incident, page, read, target_of

TARGET = target_of()


def said(records: list[tuple[int, Record]]) -> list[tuple[str, str]]:
    return [(each.alert, each.status.value) for _, each in records if isinstance(each, AlertRecord)]


def test_incidents_and_maintenance_are_of_the_backend() -> None:
    """As a webhook would tell them; the page's own words are one line."""
    planned = incident("m1", scheduled_for="2026-11-21T01:00:00Z", scheduled_until="2026-11-21T02:00:00Z")
    parts = [{"name": "API", "status": "partial_outage"}, {"name": "Console", "status": "operational"}]
    body = page(incident(), scheduled_maintenances=[planned], components=parts,
                status={"description": "Partial System Outage"})  # fmt: skip
    findings = read(TARGET, body)
    (alert, window) = (record for _, record in findings.decoded.records)
    assert isinstance(alert, AlertRecord)
    assert isinstance(window, MaintenanceRecord)
    assert (alert.alert, alert.target, alert.severity) == ("sp_p1_x1", "aws", "high")
    assert (window.backend, window.reason) == ("aws", "Elevated errors m1")
    assert findings.summary == "Partial System Outage; not operational: API (partial outage)"


def test_an_incident_that_left_the_page_is_resolved_once() -> None:
    """Pages list only what is open; the end is when that was seen."""
    opened = read(TARGET, page(incident("x1"), incident("x2")))
    ended = read(TARGET, page(incident("x2")), opened.memory)
    assert said(ended.decoded.records) == [("sp_p1_x2", "firing"), ("sp_p1_x1", "resolved")]
    (_, end) = ended.decoded.records[-1]
    assert isinstance(end, AlertRecord)
    assert (end.ends_at, end.title) == (NOON, "Elevated errors x1")
    assert said(read(TARGET, page(), ended.memory).decoded.records) == [("sp_p1_x2", "resolved")]


def test_what_cannot_be_read_is_not_over() -> None:
    """An incident in a form that is not understood, or a page without a list, ends none."""
    opened = read(TARGET, page(incident()))
    odd = read(TARGET, page(incident(created_at="soon")), opened.memory)
    assert (said(odd.decoded.records), len(odd.decoded.rejects)) == ([], 1)
    for body in (b"", b"<html>", b'{"page": {}}', b"[" * 10_000, page().replace(b"incidents", b"incident")):
        with pytest.raises(PollFailed, match="not the summary of a status page"):
            read(TARGET, body, opened.memory)
    assert read(TARGET, silence="HTTP status 500", memory=opened.memory).memory == opened.memory


def test_the_same_page_says_nothing_new() -> None:
    """Where a server knows no tags, its body is compared."""
    opened = read(TARGET, page(incident()))
    again = read(TARGET, page(incident()), opened.memory)
    assert (again.decoded.records, again.memory, again.summary) == ([], opened.memory, None)


@pytest.mark.parametrize(
    ("components", "expected"),
    [([{"name": "API"}], ["sp_p1_x1"]), ([{"name": "Sora"}], []), ([], ["sp_p1_x1"]), (None, ["sp_p1_x1"])],
)
def test_only_the_components_that_matter_are_told(components: Any, expected: list[str]) -> None:
    """An incident that names no component may concern any."""
    parts = [{"name": "Sora", "status": "major_outage"}]
    shown = incident(components=components, incident_updates=[])
    findings = read(target_of(components=["API"]), page(shown, components=parts))
    assert [alert for alert, _ in said(findings.decoded.records)] == expected
    assert findings.summary == "All Systems Operational"
