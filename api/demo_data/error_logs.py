"""Error logs: of requests that failed or queued, and of the gateway's components."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any

from api.demo_data.arrivals import arrivals
from api.demo_data.chance import stream
from api.demo_data.traffic import Exchange
from api.ingest.records import ErrorRecord
from models import LogSeverity

_ROUTER = "router"
_HEX_BITS = 48


def error_logs(seed: int, anchor: datetime, exchanges: Sequence[Exchange]) -> list[ErrorRecord]:
    """Return all lines before the anchor, oldest first. Reads a file: not for the event loop."""
    text = files("api.demo_data").joinpath("error_logs.toml").read_text(encoding="utf-8")
    templates = tomllib.loads(text)
    lines = [*_of_requests(stream(seed, "logs"), exchanges, templates)]
    for flood in templates["flood"]:
        lines += _flood(stream(seed, f"logs: {flood['message']}"), anchor, flood)
    return sorted(lines, key=lambda line: (line.logged_at, line.target, line.message))


def _of_requests(
    chance: Random, exchanges: Sequence[Exchange], templates: Mapping[str, Any]
) -> Iterator[ErrorRecord]:
    """Yield one line per failed request, and per request that queued in the router for long."""
    queue = templates["queue"]
    for sent in exchanges:
        waited = sent.routing_reason["queue_ms"]
        facts = {
            "request": sent.public_id,
            "user": sent.user.public_id,
            "deployment": sent.deployment,
            "latency": sent.outcome.latency_ms,
            "waited": waited,
        }
        if sent.outcome.error_code is not None:
            template = templates["failures"][sent.outcome.error_code]
            yield _line(chance, template, sent.deployment, sent.ended_at, facts)
        if waited >= queue["least_ms"] and sent.outcome.latency_ms is not None:
            left_queue_at = sent.created_at + timedelta(milliseconds=waited)
            yield _line(chance, queue, _ROUTER, left_queue_at, facts)


def _flood(chance: Random, anchor: datetime, flood: Mapping[str, Any]) -> Iterator[ErrorRecord]:
    start = anchor - timedelta(**flood["from"])
    end = anchor - timedelta(**flood.get("until", {}))
    count = round(flood["per_hour"] * ((end - start) / timedelta(hours=1)))
    for moment in arrivals(chance, count, start, end, 0):
        yield _line(chance, flood, flood["target"], moment, {})


def _line(
    chance: Random, template: Mapping[str, Any], target: str, moment: datetime, facts: Mapping[str, Any]
) -> ErrorRecord:
    drawn = {name: _drawn(chance, field) for name, field in template.get("fields", {}).items()}
    return ErrorRecord(
        logged_at=moment,
        severity=LogSeverity(template["severity"]),
        target=target,
        message=template["message"].format(**facts, **drawn),
    )


def _drawn(chance: Random, field: str | Sequence[int] | Sequence[str]) -> str:
    """Draw the value of a placeholder: twelve hexadecimal digits, an integer of a range, or a word."""
    if isinstance(field, str):
        return f"{chance.getrandbits(_HEX_BITS):012x}"
    first, last = field[0], field[-1]
    if isinstance(first, int) and isinstance(last, int):
        return str(chance.randint(first, last))
    return str(chance.choice(field))
