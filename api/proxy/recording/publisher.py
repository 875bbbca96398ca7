"""Takes events from the outbox to a broker: each at least once, in the order in which they were stored."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from api.errors import ArcpointApiError
from context_builder.background import in_background
from models import ProxyOutbox
from models.database import Database
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

EVERY_S = 0.5
MAX_PAUSE_S = 30.0
MAX_BATCH = 500
STREAM = "arcpoint_proxy"
"""Of all events: the stream, topic, exchange or queue; it is made if there is none."""


class BrokerFailed(ArcpointApiError):
    """The broker did not take an event; the message says why."""


class Broker(Protocol):
    """Something that takes events and confirms each."""

    async def publish(self, subject: str, payload: dict[str, Any], *, event_id: str) -> None:
        """Hand over an event, whose id says if it was handed over before. Raises BrokerFailed."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes what waits in the outbox, and removes what the broker has confirmed."""

    database: Database
    broker: Broker

    def running(self) -> AbstractAsyncContextManager[None]:
        """Publish in the background while the context lasts; the rest waits for the next start."""
        return in_background(self._run())

    async def publish_waiting(self) -> int:
        """Publish a batch; return how many events it had.

        Raises:
            BrokerFailed: The broker did not take one; those before it are published.
            DatabaseError: The database is unavailable.
        """
        async with self.database.read() as session:
            oldest = select(ProxyOutbox).order_by(ProxyOutbox.id).limit(MAX_BATCH)
            events = list(await session.scalars(oldest))
        published: list[int] = []
        try:
            for event in events:
                event_id = str(event.payload["request_id"])
                await self.broker.publish(event.subject, event.payload, event_id=event_id)
                published.append(event.id)
        finally:
            if published:
                async with self.database.write() as session:
                    await session.execute(delete(ProxyOutbox).where(ProxyOutbox.id.in_(published)))
        return len(events)

    async def _run(self) -> None:
        pause = EVERY_S
        while True:
            try:
                while await self.publish_waiting() == MAX_BATCH:
                    pass
                pause = EVERY_S
            except (BrokerFailed, DatabaseError, SQLAlchemyError, OSError) as error:
                if pause == EVERY_S:  # a lasting failure is logged once
                    log.warning("events are not published", reason=str(error).splitlines()[0])
                pause = min(pause * 2, MAX_PAUSE_S)
            await asyncio.sleep(pause)
