"""The running service: whether it is there, what it says of itself, and what it has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.cli.ask.service import ServiceLost, open_service
from api.cli.doctor.finding import Finding, ok, problem, warning
from api.cli.service_socket import socket_path
from api.settings import Settings
from context_builder.text.formatting import format_count

_START = "start it with `arcpoint serve`, or set ARCPOINT_SERVICE_URL to its address"


@dataclass(frozen=True, slots=True)
class Running:
    """What a service answered."""

    address: str
    is_same: bool
    """True if it has the database of these settings."""
    ready: dict[str, Any]
    metrics: str
    """Empty if they may not be read."""

    def part(self, name: str) -> tuple[str, str]:
        """Return the status of a part, and the reason for it."""
        part = self.ready.get(name) or {}
        return str(part.get("status")), str(part.get("reason"))

    def counts(self, metric: str, **wanted: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the value of each sample of a metric with certain labels."""
        for family in text_string_to_metric_families(self.metrics):
            for sample in family.samples:
                if sample.name == metric and wanted.items() <= sample.labels.items():
                    yield sample.labels, sample.value


async def running_service(settings: Settings) -> Running | None:
    """Return the service at the URL of the settings, or at the socket of their data; None without one."""
    address: Path | str = settings.service_url or socket_path(settings)
    if isinstance(address, Path) and not await asyncio.to_thread(address.is_socket):
        return None
    try:
        key = settings.api_key.get_secret_value() if settings.api_key else None
        async with open_service(address, key) as service:
            ready = await service.http.get("/readyz")
            metrics = await service.http.get("/metrics")
            is_same = service.database == await asyncio.to_thread(settings.database_key)
            text = metrics.text if metrics.is_success else ""
            return Running(service.address, is_same, ready.json(), text)
    except (ServiceLost, httpx.HTTPError, ValueError):
        return None


def check_service(settings: Settings, running: Running | None) -> Iterator[Finding]:
    """Report whether the service answers, is ready, refuses nothing, and is told of each call once."""
    if running is None:
        if settings.service_url is not None:
            yield problem("service", f"{settings.service_url} does not answer", _START)
        else:
            yield warning("service", "none runs on the data of these settings", _START)
        return
    status = running.ready.get("status")
    if not running.is_same:
        text = f"{running.address} has another database"
        yield problem(
            "service", text, "give both the same ARCPOINT_DATABASE_URL, or another ARCPOINT_SERVICE_URL"
        )
    elif status in ("ok", "degraded"):
        yield ok("service", f"{running.address} is {status}")
    else:
        yield problem(
            "service", f"{running.address} is {status}", "see its /readyz for the part and its reason"
        )
    if not running.metrics:
        yield warning(
            "metrics", "its /metrics may not be read from here", "set ARCPOINT_API_KEY to a viewer's key"
        )
        return
    for labels, count in running.counts("arcpoint_ingest_skipped_items_total", reason="reported twice"):
        text = f"two libraries reported {format_count(round(count), 'call')} to {labels['way']} both"
        fix = "switch one off, or name its scope in ARCPOINT_OTLP_IGNORE_SCOPES: exports may part the two"
        yield warning("ways in", text, fix)
    for labels, count in running.counts("arcpoint_ingest_posts_total"):
        if labels["outcome"] != "stored" and count:
            posts = format_count(round(count), "post")
            text = f"{posts} to {labels['way']} were not stored: {labels['outcome']}"
            yield warning(
                "ways in", text, "see what the sender was answered; docs/ingest.md explains each answer"
            )
