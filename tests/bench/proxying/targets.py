"""What the proxy is measured beside: the upstream itself, a bare pass-through and, where it is, LiteLLM.

BENCH_LITELLM is the virtual environment, or its Python, that has `litellm[proxy]`.
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
from datetime import UTC, datetime
from pathlib import Path
from socket import create_connection, socket

import psutil

from models.database import Database
from models.migrations import upgrade
from tests.support.command_line import START
from tests.support.gateway import Gateway
from tests.support.http_service import REPOSITORY, settings_of
from tests.support.proxied_chat import breaks

_LITELLM = os.environ.get("BENCH_LITELLM", "")
_START_S = 400.0
_OF_LITELLM = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""It would not start without a key of its own, nor without a list of prices from the network."""
PLAIN, INSERTING = "arcpoint proxy", "arcpoint, inserting"
_TURN = "All work and no play makes a dull proxy. " * 40


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

    def begin(self, body: bytes) -> None:
        """Send a request for a message."""
        self.writer.write(
            b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ant-bench\r\n"
            b"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )

    async def ask(self, body: bytes) -> tuple[float, float]:
        """Ask for a message; return the milliseconds to the first byte of the answer and to its last."""
        started = time.perf_counter()
        self.begin(body)
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

    def cpu_ms(self) -> float:
        """Return the processor time of all threads so far, finer than the kernel's ticks."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat") if self.process else ()
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def body_of(size: int, *, stream: bool, number: int = 0) -> bytes:
    """A conversation of about so many bytes; another number makes another one."""
    turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": _TURN} for n in range(size // 1640)]
    question = {"role": "user", "content": f"{number}. " + "Go on, please. " * 40}
    messages = [*turns[: len(turns) // 2 * 2], question]
    document = {"stream": stream, "model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages}
    return json.dumps(document, separators=(",", ":")).encode()


@asynccontextmanager
async def open_targets() -> AsyncIterator[list[Target]]:
    """Start all of them; the upstream is the first."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as directory:
        folder = Path(directory)
        helper = [sys.executable, "-m", "tests.bench.proxying.upstream"]
        with ExitStack() as running:
            upstream = running.enter_context(_started(helper, "direct"))
            upstream.process = None
            url = f"http://127.0.0.1:{upstream.port}"
            targets = [upstream, running.enter_context(_started(helper, "pass-through", after=(url,)))]
            command = [sys.executable, "-c", START, "proxy", "--upstream", url]
            for name, policy in ((PLAIN, "off"), (INSERTING, "always")):
                variables = {
                    "ARCPOINT_DATABASE_URL": await _database(f"sqlite:///{folder}/{policy}.db", folder),
                    "ARCPOINT_PROXY_CONTEXT": policy,
                }
                proxy = _started(command, name, option="--port", variables=variables)
                targets.append(running.enter_context(proxy))
            if _LITELLM:
                other = _started(_litellm(folder, url), "litellm", option="--port", variables=_OF_LITELLM)
                targets.append(running.enter_context(other))
            else:
                print("litellm: not measured, BENCH_LITELLM is not set")  # noqa: T201  a report
            yield targets


async def _database(url: str, folder: Path) -> str:
    """A database of its own, of a gateway with a deployment that is down."""
    url = settings_of(url, folder).database_url
    database = Database(url)
    await upgrade(database)
    await Gateway(database).deployment("gpt-4/aws", "gpt-4/azure")
    await breaks(database, "gpt-4/aws", datetime.now(UTC))
    await database.close()
    return url


def _litellm(folder: Path, upstream: str) -> list[str]:
    config = folder / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: claude-sonnet-5-5\n    litellm_params:\n"
        f"      model: anthropic/claude-sonnet-5-5\n      api_base: {upstream}\n      api_key: sk-ant-bench\n"
    )
    place = Path(_LITELLM)
    python = place / "bin" / "python" if place.is_dir() else place
    start = "import sys; sys.argv[0] = 'litellm'; from litellm import run_server; run_server()"
    return [str(python), "-c", start, "--config", str(config), "--host", "127.0.0.1"]


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
