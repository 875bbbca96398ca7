"""The proxy beside a bare pass-through and, where it is installed, LiteLLM: what each adds and can take.

BENCH_LITELLM is the Python of an environment with `litellm[proxy]`; without it LiteLLM is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection, socket
from statistics import median

import psutil

from models.database import Database
from models.migrations import upgrade
from tests.bench.measure import QUICK, show
from tests.support.command_line import START
from tests.support.http_service import REPOSITORY, settings_of

SIZES = {"1 KB": 1_000, "200 KB": 200_000, "800 KB": 800_000}
ROUNDS = 30 if QUICK else 400
"""Requests of each target, size and kind; one of each in turn, so that all meet the same machine."""
SECONDS = 2.0 if QUICK else 8.0
CONCURRENCY = 32
WARM_UP = 10
_LITELLM = os.environ.get("BENCH_LITELLM", "")
_START_S = 400.0
_OF_LITELLM = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""It would not start without a key of its own, nor without a list of prices from the network."""


@dataclass
class Target:
    """Something that answers requests for messages."""

    name: str
    port: int
    process: psutil.Process | None = None
    """None: the upstream itself, whose processor time is not counted."""
    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)

    async def ask(self, body: bytes) -> tuple[float, float]:
        """Ask for a message; return the milliseconds to the first byte of the answer and to its last."""
        started = time.perf_counter()
        self.writer.write(
            b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ant-bench\r\n"
            b"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{self.name} answered {head[:40]!r}")
        if b"chunked" in head:
            line = await self.reader.readuntil(b"\r\n")
            first = time.perf_counter()
            while size := int(line, 16):
                await self.reader.readexactly(size + 2)
                line = await self.reader.readuntil(b"\r\n")
            await self.reader.readexactly(2)
        else:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await self.reader.readexactly(1)
            first = time.perf_counter()
            await self.reader.readexactly(length - 1)
        return (first - started) * 1000, (time.perf_counter() - started) * 1000

    def cpu_s(self) -> float:
        return sum(self.process.cpu_times()[:2]) if self.process else 0.0


def body_of(size: int, *, stream: bool) -> bytes:
    """A conversation of about so many bytes."""
    turn = {"role": "user", "content": "All work and no play makes a dull proxy. " * 40}
    turns = [
        turn if n % 2 == 0 else {"role": "assistant", "content": turn["content"]} for n in range(size // 1640)
    ]
    question = {"role": "user", "content": "Go on, please. " * 40}
    messages = [*turns[: len(turns) // 2 * 2], question]
    document = {"stream": stream, "model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages}
    return json.dumps(document, separators=(",", ":")).encode()


def proxies() -> None:
    """Prints what each target adds at each size, and its throughput."""
    asyncio.run(_proxies())


async def _proxies() -> None:
    async with _targets() as targets:
        added: list[list[str]] = []
        for stream in (False, True):
            for label, size in SIZES.items():
                added += await _added(
                    targets, f"{label}{', stream' if stream else ''}", body_of(size, stream=stream)
                )
        columns = (
            "request",
            "target",
            "p50 ms",
            "p99 ms",
            "added p50",
            "added p99",
            "added TTFB p50",
            "CPU ms",
        )
        show(f"POST /v1/messages, {ROUNDS} each, one at a time, in turn", columns, added)
        rows = [await _throughput(target, stream=stream) for stream in (False, True) for target in targets]
        loaded = ("target", "request", "requests/s", "p50 ms", "p99 ms", "CPU ms each")
        show(f"{CONCURRENCY} connections, {SECONDS:g} s each, 1 KB", loaded, rows)


async def _added(targets: list[Target], label: str, body: bytes) -> list[list[str]]:
    times: dict[str, list[tuple[float, float]]] = {target.name: [] for target in targets}
    cpu = dict.fromkeys(times, 0.0)
    for target in targets:
        await target.connect()
    for number in range(WARM_UP + ROUNDS):
        for target in targets:
            before = target.cpu_s()
            taken = await target.ask(body)
            if number >= WARM_UP:
                times[target.name].append(taken)
                cpu[target.name] += target.cpu_s() - before
    for target in targets:
        target.writer.close()
    direct = times[targets[0].name]
    rows = []
    for target in targets:
        first, whole = ([taken[n] for taken in times[target.name]] for n in (0, 1))
        base_first, base = ([taken[n] for taken in direct] for n in (0, 1))
        rows.append([
            label, target.name, f"{median(whole):.2f}", f"{_p99(whole):.2f}",
            f"{median(whole) - median(base):.2f}", f"{_p99(whole) - _p99(base):.2f}",
            f"{median(first) - median(base_first):.2f}", f"{cpu[target.name] * 1000 / ROUNDS:.2f}",
        ])  # fmt: skip
    return rows


async def _throughput(target: Target, *, stream: bool) -> list[str]:
    body, walls, until = body_of(1_000, stream=stream), list[float](), time.perf_counter() + SECONDS

    async def ask_again() -> None:
        connection = Target(target.name, target.port)
        await connection.connect()
        while time.perf_counter() < until:
            walls.append((await connection.ask(body))[1])
        connection.writer.close()

    before = target.cpu_s()
    await asyncio.gather(*(ask_again() for _ in range(CONCURRENCY)))
    cpu_ms = (target.cpu_s() - before) * 1000 / len(walls)
    return [
        target.name, "stream" if stream else "whole", f"{len(walls) / SECONDS:.0f}",
        f"{median(walls):.1f}", f"{_p99(walls):.1f}", f"{cpu_ms:.2f}",
    ]  # fmt: skip


def _p99(values: list[float]) -> float:
    return sorted(values)[round(0.99 * (len(values) - 1))]


@asynccontextmanager
async def _targets() -> AsyncIterator[list[Target]]:
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as name:
        folder = Path(name)
        settings = settings_of(f"sqlite:///{folder}/proxy.db", folder)
        database = Database(settings.database_url)
        await upgrade(database)
        await database.close()
        helper = [sys.executable, "-m", "tests.bench.proxy_upstream"]
        with ExitStack() as running:
            upstream = running.enter_context(_started(helper, "direct"))
            upstream.process = None
            url = f"http://127.0.0.1:{upstream.port}"
            command = [sys.executable, "-c", START, "proxy", "--upstream", url]
            variables = {"ARCPOINT_DATABASE_URL": settings.database_url}
            targets = [
                upstream,
                running.enter_context(_started(helper, "pass-through", after=(url,))),
                running.enter_context(
                    _started(command, "arcpoint proxy", option="--port", variables=variables)
                ),
            ]
            if _LITELLM:
                other = _started(_litellm(folder, url), "litellm", option="--port", variables=_OF_LITELLM)
                targets.append(running.enter_context(other))
            yield targets


def _litellm(folder: Path, upstream: str) -> list[str]:
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: claude-sonnet-5-5\n    litellm_params:\n"
        f"      model: anthropic/claude-sonnet-5-5\n      api_base: {upstream}\n      api_key: sk-ant-bench\n"
    )
    return [str(Path(_LITELLM).parent / "litellm"), "--config", str(config), "--host", "127.0.0.1"]


@contextmanager
def _started(
    command: list[str],
    name: str,
    *,
    option: str = "",
    after: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Target]:
    """A process that listens on a free port, named last but for `after`, by an option if there is one."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [*([option] if option else []), str(port), *after]
    environment = dict(os.environ) | {"PYTHONPATH": str(REPOSITORY)} | dict(variables or {})
    process = subprocess.Popen(
        [*command, *options],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start") from None
                time.sleep(0.1)
        yield Target(name, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()
