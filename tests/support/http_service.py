"""The HTTP service as tests meet it: in this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import httpx
from fastapi import FastAPI

from api.http.app import create_app
from api.settings import Settings
from tests.loopback.messages_api import API_KEY, MessagesApi
from tests.support.command_line import START, program
from tests.support.patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]
QUESTION = "Which deployments are unhealthy?"
START_S = 40.0
"""Generous: the machine may be busy with other tests."""


def settings_of(database_url: str, folder: Path, api: MessagesApi | None = None, **changes: Any) -> Settings:
    """Settings with the hashing embedder; without an API there is no model."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "memory_path": folder / "memory",
        "embedder": "hashing",
        "anthropic_api_key": API_KEY if api else None,
        "anthropic_base_url": api.url if api else None,
        "model_retries": 0,
        "risk_tick_s": 0,  # nothing is read that a test did not ask for
        "max_wait_s": PATIENCE_S,
        "drain_s": 0,  # no test waits for a balancer
    }
    return Settings(**(values | changes))


def without_memory(folder: Path) -> Path:
    """A path for a memory that is refused at once, since it is a file."""
    path = folder / "no-folder"
    path.touch()
    return path


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started in this process."""
    app = await asyncio.to_thread(create_app, settings)
    async with app.router.lifespan_context(app):
        yield app


def wait_for_sources(app: FastAPI) -> None:
    """Let every source be read whole however busy the machine is."""
    builder = app.state.services.answerer.builder
    builder.sources = tuple(replace(source, deadline_s=START_S) for source in builder.sources)


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client whose requests go straight to the application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_S)


@dataclass(frozen=True)
class SentEvent:
    """One server-sent event."""

    name: str
    data: Any


def events_of(text: str) -> list[SentEvent]:
    """The events of a stream, without its comments."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    events = []
    for block in blocks:
        name, data = block.split("\n")
        events.append(SentEvent(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


@dataclass
class ServiceProcess:
    """`arcpoint serve`, or another command that serves, in a process of its own, on a free port."""

    settings: Settings
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ("--port", "0")
    code: str = START
    """What the process runs."""
    command: str = "serve"
    errors: int = PIPE
    """Where standard error goes; a pipe that nobody reads fills up after some hundred requests."""
    process: Process = field(init=False)
    url: str = field(init=False, default="")
    output: list[str] = field(init=False, default_factory=list)
    """Lines of standard output until the service was ready."""

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            async with asyncio.timeout(START_S):
                await self._listening()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()  # its pipes would stay open if the end of the process came first

    async def _listening(self) -> None:
        """Read what it prints until it listens."""
        while not self.url:
            line = (await self._stdout.readline()).decode()
            if not line:
                raise RuntimeError(f"the service did not start: {(await self.ended())[1]}")
            self.output.append(line.rstrip("\n"))
            if address := re.search(r"http://[\w.:\[\]]+", line):
                self.url = address.group()
        self.output.append((await self._stdout.readline()).decode().rstrip("\n"))

    async def start(self) -> None:
        """Starts the process without waiting for the service to be ready."""
        self.process = await asyncio.create_subprocess_exec(
            *program(self.code),
            self.command,
            *self.options,
            cwd=REPOSITORY,
            env=self._environment(),
            stdout=PIPE,
            stderr=self.errors,
        )

    async def ended(self) -> tuple[int, str]:
        """Exit code and standard error, once the process has ended."""
        async with asyncio.timeout(START_S):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()

    def client(self) -> httpx.AsyncClient:
        """A client over real connections."""
        return httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None)
        )

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout

    def _environment(self) -> dict[str, str]:
        key = self.settings.anthropic_api_key
        values = self.settings.model_dump(exclude_unset=True, exclude={"anthropic_api_key"})
        if key is not None:
            values["anthropic_api_key"] = key.get_secret_value()
        given = {
            f"ARCPOINT_{name.upper()}": str(value) for name, value in values.items() if value is not None
        }
        return dict(os.environ) | given | dict(self.environment)
