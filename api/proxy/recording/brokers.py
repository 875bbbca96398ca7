"""Brokers by URL: NATS JetStream, Redis streams, Kafka and RabbitMQ, all through FastStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from api.proxy.recording.call_store import SUBJECT
from api.proxy.recording.publisher import STREAM, Broker, BrokerFailed
from api.settings import SettingsError

MAX_KEPT = 1_000_000
"""Events that are kept at most where a broker keeps them in memory; the oldest go first."""
_CONNECT_S = 5
_CONFIRM_S = 10.0

Send = Callable[[str, dict[str, Any], str], Awaitable[object]]
"""Hands over subject, document and id of an event, and returns once the broker has stored it."""


@asynccontextmanager
async def _started(broker: Any) -> AsyncIterator[None]:
    try:
        await broker.start()
        yield
    finally:
        with suppress(Exception):  # one that was never connected, or is away, cannot be stopped in order
            async with asyncio.timeout(_CONNECT_S):
                await broker.stop()


@asynccontextmanager
async def _nats(url: str) -> AsyncIterator[Send]:
    """Publish to a JetStream stream, whose server drops what it has had within two minutes."""
    faststream = import_module("faststream.nats")
    broker = faststream.NatsBroker(url, connect_timeout=_CONNECT_S, allow_reconnect=False, logger=None)
    stream = faststream.JStream(STREAM, subjects=[f"{SUBJECT}.>"])
    broker.publisher(f"{SUBJECT}.completed", stream=stream)  # declares it at the start
    async with _started(broker):
        yield lambda subject, payload, event_id: broker.publish(
            payload, subject, headers={"Nats-Msg-Id": event_id}, stream=STREAM, timeout=_CONFIRM_S
        )


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Send]:
    """Add to a Redis stream."""
    broker = import_module("faststream.redis").RedisBroker(
        url, socket_timeout=_CONFIRM_S, socket_connect_timeout=_CONNECT_S, logger=None
    )
    async with _started(broker):
        yield lambda subject, payload, event_id: broker.publish(
            payload, stream=STREAM, headers={"subject": subject}, correlation_id=event_id, maxlen=MAX_KEPT
        )


@asynccontextmanager
async def _kafka(url: str) -> AsyncIterator[Send]:
    """Send to a Kafka topic; events of one kind go to one partition."""
    broker = import_module("faststream.kafka").KafkaBroker(
        url.removeprefix("kafka://").rstrip("/").split(","), acks="all", logger=None
    )
    async with _started(broker):
        yield lambda subject, payload, event_id: broker.publish(
            payload, STREAM, key=subject.encode(), correlation_id=event_id
        )


@asynccontextmanager
async def _rabbit(url: str) -> AsyncIterator[Send]:
    """Publish to a durable topic exchange; a durable queue of the same name has every event."""
    faststream = import_module("faststream.rabbit")
    broker = faststream.RabbitBroker(url, timeout=_CONNECT_S, logger=None)
    async with _started(broker):
        topic = faststream.RabbitExchange(STREAM, type=faststream.ExchangeType.TOPIC, durable=True)
        queue = await broker.declare_queue(
            faststream.RabbitQueue(STREAM, durable=True, arguments={"x-max-length": MAX_KEPT})
        )
        await queue.bind(await broker.declare_exchange(topic), f"{SUBJECT}.#")
        yield lambda subject, payload, event_id: broker.publish(
            payload, exchange=topic, routing_key=subject, persist=True, message_id=event_id
        )


Connect = Callable[[str], AbstractAsyncContextManager[Send]]
_KINDS: Mapping[str, tuple[str, Connect]] = {
    "nats": ("nats", _nats),
    "tls": ("nats", _nats),
    "redis": ("redis", _redis),
    "rediss": ("redis", _redis),
    "kafka": ("kafka", _kafka),
    "amqp": ("rabbit", _rabbit),
    "amqps": ("rabbit", _rabbit),
}
"""FastStream's module and how to connect, by the scheme of the URL."""


class BrokerEvents:
    """Publishes to whatever a URL leads to, connecting when there is something to publish."""

    def __init__(self, url: str, connect: Connect) -> None:
        self._url = url
        self._connect = connect
        self._connection = AsyncExitStack()
        self._send: Send | None = None

    async def publish(self, subject: str, payload: dict[str, Any], *, event_id: str) -> None:
        """Publish an event, connecting if need be, and wait until the broker has stored it."""
        try:
            # Twice: a library that gives up closes what it has opened, and one that is cut off does not.
            async with asyncio.timeout(2 * _CONNECT_S + _CONFIRM_S):
                if self._send is None:
                    self._send = await self._connection.enter_async_context(self._connect(self._url))
                await self._send(subject, payload, event_id)
        except Exception as error:  # each library has errors of its own, and the event is tried again
            await self.close()
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BrokerFailed(f"the broker did not take an event: {why}") from error

    async def close(self) -> None:
        """Close the connection; the next event opens it again."""
        self._send = None
        with suppress(Exception):
            await self._connection.aclose()


@asynccontextmanager
async def open_broker(url: str) -> AsyncIterator[Broker]:
    """Open the broker at a URL, which need not answer yet.

    Raises:
        SettingsError: It is not one that events can be published to, or its library is not installed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _KINDS or not rest or (scheme == "kafka" and "@" in rest):
        accepted = ", ".join(f"{name}://" for name in _KINDS)
        raise SettingsError(
            f"ARCPOINT_PROXY_BROKER_URL: expected {accepted} with host:port; of kafka:// without a user"
        )
    name, connect = _KINDS[scheme]
    try:
        # In a thread: importing reads files.
        await asyncio.to_thread(import_module, f"faststream.{name}")
    except ImportError:
        raise SettingsError(
            f"ARCPOINT_PROXY_BROKER_URL={scheme}://... needs FastStream: pip install 'faststream[{name}]'"
        ) from None
    broker = BrokerEvents(url, connect)
    try:
        yield broker
    finally:
        await broker.close()
