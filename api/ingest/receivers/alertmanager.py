"""Prometheus Alertmanager: what its webhook posts, a group of alerts each with a state of its own."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct, field

from api.ingest.errors import BodyUnreadable
from api.ingest.live.message import Decoded, Message, Receiver
from api.ingest.live.redaction import redacted
from api.ingest.records import AlertRecord
from api.ingest.records.operations.alert_record import AlertStatus
from api.ingest.records.severities import severity_of_alert

HEARTBEATS = {"Watchdog", "DeadMansSwitch"}
"""Alerts that always fire, to show that alerts arrive."""
_NEVER = 1
"""Year of the end of an alert that fires."""
_MAX_TITLE = 1_000
_MAX_TARGET = 200


class Alert(Struct, rename="camel"):
    """One alert of a group."""

    fingerprint: str
    status: str
    starts_at: str
    ends_at: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


class Group(Struct, rename="camel"):
    """What is posted; the state of the group says nothing about its alerts."""

    alerts: list[Alert]
    truncated_alerts: int = 0


_DECODER = msgspec.json.Decoder(Group)


def decode(message: Message) -> Decoded:
    """Return what each alert of a group reports."""
    try:
        group = _DECODER.decode(message.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BodyUnreadable(f"the body is not a webhook of Alertmanager, version 4: {error}") from None
    decoded = Decoded()
    for index, alert in enumerate(group.alerts):
        if alert.labels.get("alertname") in HEARTBEATS:
            decoded.skipped["heartbeat"] += 1
            continue
        decoded.add(index, AlertRecord, _values(alert))
    if group.truncated_alerts:
        count = group.truncated_alerts
        decoded.notes.append(f"Alertmanager left out {count} alerts of the group; raise its max_alerts")
    return decoded


def _values(alert: Alert) -> dict[str, object]:
    labels, annotations = alert.labels, alert.annotations
    title = annotations.get("summary") or labels.get("alertname") or "alert without a name"
    described = "\n".join(f"{name}={labels[name]}" for name in sorted(labels))
    return {
        "alert": f"am_{alert.fingerprint}",
        "status": alert.status,
        "starts_at": alert.starts_at,
        "ends_at": _ends_at(alert),
        "title": redacted(title, _MAX_TITLE),
        "symptoms": redacted(f"{annotations.get('description', '')}\n\n{described}".strip()),
        "target": _target(labels),
        "severity": severity_of_alert(labels.get("severity", "")),
    }


def _ends_at(alert: Alert) -> str | None:
    """Return the end of an alert that is resolved; while it fires, year 1 or a time to come stands there."""
    if alert.status != AlertStatus.RESOLVED or not alert.ends_at:
        return None
    try:
        return None if datetime.fromisoformat(alert.ends_at).year == _NEVER else alert.ends_at
    except ValueError:
        return alert.ends_at


def _target(labels: dict[str, str]) -> str | None:
    """Return what an alert is about, as precisely as its labels say."""
    model, backend = labels.get("model") or labels.get("model_name"), labels.get("backend")
    pair = f"{model}/{backend}" if model and backend else None
    target = labels.get("deployment") or pair or model or labels.get("instance")
    return redacted(target, _MAX_TARGET) if target else None


receiver = Receiver("alertmanager", decode)
