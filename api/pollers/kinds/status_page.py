"""The summary of a status page: what is open, what is planned, and what is over since the last poll."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct, field

from api.ingest.live.message import Decoded
from api.ingest.live.redaction import redacted
from api.ingest.receivers.statuspage import Incident, Page, decode_incidents
from api.ingest.records import AlertRecord, AlertStatus
from api.pollers.fetching import PollFailed
from api.pollers.poll import Findings, Poll
from api.pollers.targets import Target

_OPERATIONAL = "operational"
_MAX_COMPONENTS = 8
"""That a summary names."""


class Component(Struct):
    """One part of what the page is about."""

    name: str = ""
    status: str = _OPERATIONAL


class Status(Struct):
    """The page in a few words."""

    description: str = ""


class Summary(Struct):
    """What `summary.json` says; only what is not over is in it."""

    page: Page
    incidents: list[Incident]
    """Required: without it every open incident would seem to be over."""
    scheduled_maintenances: list[Incident] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    status: Status = field(default_factory=Status)


_DECODER = msgspec.json.Decoder(Summary)


def read(poll: Poll) -> Findings:
    """Return the incidents and maintenance of a page; an incident that is no longer on it is resolved."""
    digest = blake2b(poll.body, digest_size=16).hexdigest()
    if poll.silence or poll.memory.get("digest") == digest:
        return Findings(Decoded(), dict(poll.memory))
    try:
        summary = _DECODER.decode(poll.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PollFailed(f"not the summary of a status page: {error}") from None
    target = poll.target
    shown = [each for each in summary.incidents if _concerns(each, target)]
    planned = [each for each in summary.scheduled_maintenances if _concerns(each, target)]
    decoded = decode_incidents([*shown, *planned], summary.page, target.about)
    reports = [record for _, record in decoded.records if isinstance(record, AlertRecord)]
    _add_ends(decoded, poll, {report.alert for report in reports} | _ids(decoded, shown, summary.page))
    is_open = {
        report.alert: {"starts_at": report.starts_at.isoformat(), "title": report.title}
        for report in reports
        if report.status is AlertStatus.FIRING
    }
    return Findings(decoded, {"digest": digest, "open": is_open}, _said(summary, target))


def _concerns(incident: Incident, target: Target) -> bool:
    names = {each.name for each in incident.components or ()}
    return not target.components or not names or bool(names & target.components)


def _ids(decoded: Decoded, shown: list[Incident], page: Page) -> set[str]:
    """Return the alerts of incidents that are on the page and could not be read: they are not over."""
    rejected = {each.index for each in decoded.rejects}
    return {f"sp_{page.id}_{each.id}" for place, each in enumerate(shown) if place in rejected}


def _add_ends(decoded: Decoded, poll: Poll, present: set[str]) -> None:
    """Add the end of each incident that was open and is no longer on the page."""
    were_open: Mapping[str, Any] = poll.memory.get("open", {})
    for alert in were_open.keys() - present:
        values = were_open[alert] | {
            "alert": alert,
            "status": AlertStatus.RESOLVED,
            "ends_at": poll.at,
            "target": poll.target.about,
        }
        decoded.add(len(decoded.records), AlertRecord, values)


def _said(summary: Summary, target: Target) -> str:
    broken = [
        f"{each.name} ({each.status.replace('_', ' ')})"
        for each in summary.components
        if each.status != _OPERATIONAL and (not target.components or each.name in target.components)
    ]
    listed = ", ".join(broken[:_MAX_COMPONENTS])
    parts = (summary.status.description, f"not operational: {listed}" if listed else "")
    return redacted("; ".join(filter(None, parts)), 500)
