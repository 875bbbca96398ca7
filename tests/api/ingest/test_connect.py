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

from models import ConfigChange, Deployment, ErrorLog, Incident, Job, Request
from models.database import Database
from tests.loopback.raw_upstream import raw_upstream, whole
from tests.support.http_service import ServiceProcess, settings_of, without_memory
from tests.support.patience import PATIENCE_S
from tests.support.peers import litellm

pytestmark = [pytest.mark.process, pytest.mark.long]

BLOCK = re.compile(r"^## ([^\n]+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LITELLM = litellm()
ALERTMANAGER = shutil.which("prometheus-alertmanager")
SECRET = "correct-horse-battery"
MASTER_KEY = "sk-0f3c9a51d7e84b62a1c05e9d3b7f6284"
"""Of LiteLLM, which refuses one that can be guessed."""
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


async def answers(send: Callable[[], Awaitable[httpx.Response]], process: Process) -> httpx.Response:
    """The first answer of a program that is starting."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            assert process.returncode is None, "it ended; program.log in its folder says why"
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


CALLS = """
import {sdk}
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
for name in {libraries}:
    __import__(name, fromlist=["x"]).{instrumentor}().instrument()
question = dict(model="{model}", max_tokens=20, messages=[dict(role="user", content="{canary}")])
client = {client}(api_key="none", base_url="{url}", max_retries=0)
{call}(**question)
try:
    {call}(**question)
except {sdk}.RateLimitError:
    pass
trace.get_tracer_provider().shutdown()
"""
CANARY = "the-prompt-of-somebody"
OPENAI = {
    "sdk": "openai", "client": "openai.OpenAI", "call": "client.chat.completions.create",
    "instrumentor": "OpenAIInstrumentor", "model": "gpt-4o-mini",
}  # fmt: skip
ANTHROPIC = {
    "sdk": "anthropic", "client": "anthropic.Anthropic", "call": "client.messages.create",
    "instrumentor": "AnthropicInstrumentor", "model": "claude-haiku-4-5",
}  # fmt: skip
GENAI, OPENINFERENCE = "opentelemetry.instrumentation.genai", "openinference.instrumentation.openai"
REPLIES: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1795957969, "model": "gpt-4o-mini",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    },
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 3},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("program", "libraries"),
    [
        (OPENAI, [f"{GENAI}.openai"]),
        (OPENAI, [OPENINFERENCE]),
        (OPENAI, [f"{GENAI}.openai", OPENINFERENCE]),
        (ANTHROPIC, [f"{GENAI}.anthropic"]),
    ],
    ids=["genai-openai", "openinference", "both", "genai-anthropic"],
)
async def test_the_opentelemetry_sdk_exports_each_call_once(
    service: ServiceProcess, sqlite_url: str, blocks: Callable[[str], list[str]],
    program: dict[str, str], libraries: list[str],
) -> None:  # fmt: skip
    """With nothing but the variables of the block: a call that succeeds, one that fails, and no prompt."""
    missing = [name for name in (EXPORTER, *libraries) if not is_installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    (block,) = blocks("OpenTelemetry")
    async with raw_upstream() as upstream:
        reply = json.dumps(REPLIES[program["sdk"]]).encode()
        upstream.script(whole(reply), whole(b'{"error": {"message": "Slow down"}}', 429))
        code = CALLS.format(**program, libraries=libraries, url=upstream.url, canary=CANARY)
        await shell(f"{for_service(block, service)}\n{sys.executable} -W ignore - <<'END'\n{code}\nEND\n")
    # They were exported before the program ended, and acknowledged once they were committed.
    database = Database(sqlite_url)
    async with database.read() as session:
        found = list(await session.scalars(select(Request).order_by(Request.created_at)))
        tokens = [(each.prompt_tokens, each.completion_tokens) for each in found]
        lines = list(await session.scalars(select(ErrorLog.message)))
    await database.close()
    assert [each.status for each in found] == ["success", "rate_limited"]
    assert tokens[0] == (12, 3)
    assert len(lines) == 1
    assert CANARY not in repr(lines)


EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(
    LITELLM is None, reason="no LiteLLM, which `make test` installs, and ARCPOINT_TEST_LITELLM names none"
)
async def test_litellm_reports_a_call_and_a_failure(
    service: ServiceProcess, sqlite_url: str, tmp_path: Path, blocks: Callable[[str], list[str]]
) -> None:
    """The real proxy with the lines of the block, and a model that answers by itself."""
    (block,) = blocks("LiteLLM")
    models = (
        "model_list:\n"
        "  - model_name: mock\n"
        "    litellm_params: {model: openai/gpt-4o-mini, api_key: none, mock_response: Hello}\n"
        f"general_settings: {{master_key: {MASTER_KEY}}}\n"
    )
    (tmp_path / "config.yaml").write_text(models + for_service(block, service))
    port = free_port()
    command = (str(LITELLM), "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1")
    # Its list of prices would be fetched.
    local = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    async with started(*command, folder=tmp_path, **local) as proxy, httpx.AsyncClient(timeout=30) as client:

        async def call(model: str = "mock") -> httpx.Response:
            question = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
            headers = {"authorization": f"Bearer {MASTER_KEY}"}
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            return await client.post(url, json=question, headers=headers)

        assert (await answers(call, proxy)).status_code == 200
        assert (await call("made-up")).status_code == 400
        assert await rows(sqlite_url, Request, 2) == 2


@pytest.mark.skipif(ALERTMANAGER is None, reason="Alertmanager is not on the path")
async def test_alertmanager_reports_an_alert(
    service: ServiceProcess, sqlite_url: str, tmp_path: Path, blocks: Callable[[str], list[str]]
) -> None:
    """The real program with the lines of the block."""
    (block,) = blocks("Prometheus Alertmanager")
    (tmp_path / "am.yml").write_text(for_service(block, service).replace("10s", "1s"))
    port = free_port()
    command = (
        str(ALERTMANAGER), "--config.file=am.yml", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--storage.path=am",
    )  # fmt: skip
    async with started(*command, folder=tmp_path) as program, httpx.AsyncClient(timeout=30) as client:
        alert = {"labels": {"alertname": "Slow", "deployment": "gpt-4/aws"}}
        url = f"http://127.0.0.1:{port}/api/v2/alerts"
        sent = await answers(lambda: client.post(url, json=[alert]), program)
        assert sent.status_code == 200
        assert await rows(sqlite_url, Incident, 1) == 1
