"""NATS JetStream as the broker of the proxy's events."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import nats.errors
import nats.js.errors
from faststream.nats import JStream, NatsBroker

from api.proxy.recording.call_store import SUBJECT
from api.proxy.recording.publisher import STREAM, BrokerFailed

_CONNECT_S = 5
_CONFIRM_S = 10.0
_FAILURES = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


class NatsEvents:
    """Publishes to a JetStream stream, whose server drops what it has had within two minutes."""

    def __init__(self, url: str) -> None:
        self._broker = NatsBroker(url, connect_timeout=_CONNECT_S, allow_reconnect=False, logger=None)
        # Declares the stream when the broker starts.
        self._broker.publisher(f"{SUBJECT}.completed", stream=JStream(STREAM, subjects=[f"{SUBJECT}.>"]))
        self._is_connected = False

    async def publish(self, subject: str, payload: dict[str, Any], *, event_id: str) -> None:
        """Publish an event, connecting if need be, and wait until the server has stored it."""
        try:
            if not self._is_connected:
                await self._broker.start()
                self._is_connected = True
            await self._broker.publish(
                payload, subject, headers={"Nats-Msg-Id": event_id}, stream=STREAM, timeout=_CONFIRM_S
            )
        except _FAILURES as error:
            await self.close()
            raise BrokerFailed(f"NATS did not take an event: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connection; the next event opens it again."""
        self._is_connected = False
        with suppress(*_FAILURES):  # one that was never connected cannot be drained
            await self._broker.stop()
