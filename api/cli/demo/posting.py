"""Sends the demo's week to the service, as a gateway would report it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

import httpx

from api.demo_data import DemoData, DemoDataError
from api.demo_data.generator import Progress
from api.http.app import attach, create_app
from api.ingest.records import Record
from api.services import Services
from api.settings import Settings
from context_builder.text.formatting import format_count

_TIMEOUT_S = 120.0
"""A demo would rather wait for a busy disk than fail."""


@dataclass(slots=True)
class Posted:
    """What the service took in."""

    accepted: Counter[str] = field(default_factory=Counter)
    """Records by kind."""
    seconds: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in self.accepted.most_common())
        total = format_count(self.accepted.total(), "record")
        return f"POST /v1/ingest/{{kind}} accepted {total} in {self.seconds:.1f} s: {kinds}."


async def post_week(services: Services, data: DemoData, progress: Progress) -> Posted:
    """Post all records to the service, which is called without a network in between.

    Raises:
        DemoDataError: the service did not accept every record as a new one.
    """
    # As it comes: secrets of senders, logins and limits that are set are those of the user's own service.
    settings = Settings.model_construct(database_url=services.settings.database_url)
    app = await asyncio.to_thread(create_app, settings)
    await attach(app, services)
    posted, started = Posted(), monotonic()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=_TIMEOUT_S
    ) as client:
        for kind, batch in data.batches(progress):
            body = await asyncio.to_thread(_lines, batch)
            answer = await client.post(
                f"/v1/ingest/{kind}", content=body, headers={"content-type": "application/x-ndjson"}
            )
            receipt = answer.json()
            if not answer.is_success or receipt["accepted"] != len(batch):
                raise DemoDataError(
                    f"/v1/ingest/{kind} did not accept the demo's data: {json.dumps(receipt)}"
                )
            posted.accepted[kind] += receipt["accepted"]
    posted.seconds = monotonic() - started
    return posted


def _lines(records: Sequence[Record]) -> str:
    return "\n".join(record.model_dump_json(exclude_unset=True) for record in records)
