"""Every block of docs/connect.md brings a row in, sent by the real program where that is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from models import ConfigChange, Deployment, Incident, Job, Request
from models.database import Database
from tests.support.http_service import ServiceProcess, settings_of, without_memory
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.long]

BLOCK = re.compile(r"^## ([^\n]+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECRET = "correct-horse-battery"
NAMES = ["litellm", "otlp", "alertmanager", "requests", "changes", "deployments", "cloudevents"]


@pytest.fixture
def blocks(repository: Path) -> Callable[[str], list[str]]:
    """The blocks under a heading."""
    text = (repository / "docs" / "connect.md").read_text("utf-8")
    found = {match[1]: [code for _, code in CODE.findall(match[0])] for match in BLOCK.finditer(text)}
    return lambda heading: found[heading]


@pytest.fixture
async def service(sqlite_url: str, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    secrets = " ".join(f"{name}={SECRET}" for name in NAMES)
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path), ingest_secrets=secrets)
    async with ServiceProcess(settings, {"ARCPOINT_INGEST_SECRETS": secrets}) as running:
        yield running


def for_service(block: str, service: ServiceProcess) -> str:
    return (
        block.replace("http://localhost:8080", service.url)
        .replace("localhost:8080", service.url)
        .replace("SECRET", SECRET)
    )


async def rows(sqlite_url: str, table: Any, expected: int) -> int:
    """How many rows there are, once there are as many as expected or time is up."""
    database = Database(sqlite_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with database.write() as session:
                    count = await session.scalar(select(func.count()).select_from(table)) or 0
                if count >= expected:
                    return count
                await asyncio.sleep(0.2)
    finally:
        await database.close()


async def shell(code: str) -> str:
    process = await asyncio.create_subprocess_exec("bash", "-e", "-c", code, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return output.decode()


@asynccontextmanager
async def started(*command: str, folder: Path, **environment: str) -> AsyncIterator[Process]:
    """A program that is ended with the block."""
    log = (folder / "program.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()


async def answers(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer of a program that is starting."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                response = await send()
                if response.status_code < 500:
                    return response
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.3)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.mark.skipif(shutil.which("curl") is None, reason="the blocks call curl")
async def test_each_call_of_curl_brings_its_row_in(
    service: ServiceProcess, sqlite_url: str, blocks: Callable[[str], list[str]]
) -> None:
    """The receipt says so, and the row is there; without the secret nothing is."""
    headings = ("Your own program, a deployment pipeline, a cron job", "CloudEvents and CDEvents")
    for block in [block for heading in headings for block in blocks(heading)]:
        code = for_service(block, service)
        assert "401" in await shell(code.replace(SECRET, "wrong"))
        receipt = json.loads(await shell(code))
        assert (receipt["accepted"] + receipt["updated"], receipt["rejected"]) == (1, 0), (block, receipt)
    for table in (Request, ConfigChange, Deployment, Job):
        assert await rows(sqlite_url, table, 1) == 1


SPAN = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
values = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4"}
with trace.get_tracer("app").start_as_current_span("chat gpt-4", attributes=values):
    pass
trace.get_tracer_provider().shutdown()
"""
EXPORTER = "opentelemetry.exporter.otlp.proto.http"


async def test_the_opentelemetry_sdk_exports_a_call(
    service: ServiceProcess, sqlite_url: str, blocks: Callable[[str], list[str]]
) -> None:
    """With nothing but the variables of the block."""
    if importlib.util.find_spec(EXPORTER) is None:
        pytest.skip("opentelemetry-exporter-otlp-proto-http is not installed")
    (block,) = blocks("OpenTelemetry")
    await shell(f"{for_service(block, service)}\n{sys.executable} -c '{SPAN}'")
    assert await rows(sqlite_url, Request, 1) == 1


@pytest.mark.skipif(shutil.which("litellm") is None, reason="LiteLLM is not on the path")
async def test_litellm_reports_a_call_and_a_failure(
    service: ServiceProcess, sqlite_url: str, tmp_path: Path, blocks: Callable[[str], list[str]]
) -> None:
    """The real proxy with the lines of the block, and a model that answers by itself."""
    (block,) = blocks("LiteLLM")
    models = (
        "model_list:\n"
        "  - model_name: mock\n"
        "    litellm_params: {model: openai/gpt-4o-mini, api_key: none, mock_response: Hello}\n"
        "general_settings: {master_key: sk-1234}\n"
    )
    (tmp_path / "config.yaml").write_text(models + for_service(block, service))
    port = free_port()
    command = ("litellm", "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1")
    async with started(*command, folder=tmp_path), httpx.AsyncClient(timeout=30) as client:

        async def call(model: str = "mock") -> httpx.Response:
            question = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
            headers = {"authorization": "Bearer sk-1234"}
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            return await client.post(url, json=question, headers=headers)

        assert (await answers(call)).status_code == 200
        assert (await call("made-up")).status_code == 400
        assert await rows(sqlite_url, Request, 2) == 2


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="Alertmanager is not on the path")
async def test_alertmanager_reports_an_alert(
    service: ServiceProcess, sqlite_url: str, tmp_path: Path, blocks: Callable[[str], list[str]]
) -> None:
    """The real program with the lines of the block."""
    (block,) = blocks("Prometheus Alertmanager")
    (tmp_path / "am.yml").write_text(for_service(block, service).replace("10s", "1s"))
    port = free_port()
    command = (
        "prometheus-alertmanager", "--config.file=am.yml", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--storage.path=am",
    )  # fmt: skip
    async with started(*command, folder=tmp_path), httpx.AsyncClient(timeout=30) as client:
        alert = {"labels": {"alertname": "Slow", "deployment": "gpt-4/aws"}}
        sent = await answers(lambda: client.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[alert]))
        assert sent.status_code == 200
        assert await rows(sqlite_url, Incident, 1) == 1
