"""`arcpoint serve`: it starts with a word, serves many at once, and stops without losing any."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from api.cli.commands import run
from api.services import open_database, open_memory
from api.settings import Settings
from tests.loopback.messages_api import Fail, Hang, MessagesApi, Reply
from tests.support.command_line import START
from tests.support.http_service import (
    QUESTION,
    START_S,
    ServiceProcess,
    events_of,
    settings_of,
    without_memory,
)
from tests.support.patience import PATIENCE_S

BODY = {"question": QUESTION}
EVENTS = {"accept": "text/event-stream"}

PATIENT = f"""
from unittest.mock import patch
from tests.support.patient_sources import SOURCES
patch("api.services.discover", lambda: SOURCES).start()
{START}
"""
"""With sources that are read whole, however busy the machine is with other processes."""

pytestmark = pytest.mark.process


@pytest.fixture
def settings(sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path) -> Settings:
    """Without memory, where it is no subject: its worker takes long to start."""
    return settings_of(sqlite_story_url, tmp_path, messages_api, memory_path=without_memory(tmp_path))


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[ServiceProcess]:
    async with ServiceProcess(settings) as process:
        yield process


async def test_fifty_questions_at_once_all_get_their_own_answer(
    sqlite_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Every source of every one of them was read, incident memory included, however long it had to wait."""
    settings = settings_of(sqlite_story_url, tmp_path, messages_api, memory_deadline_s=PATIENCE_S)
    async with open_database(settings) as database, open_memory(settings, database) as memory:
        await memory.sync()
    async with ServiceProcess(settings, code=PATIENT) as process, process.client() as client:
        bodies = [BODY | {"token_budget": 3000 + number} for number in range(50)]
        responses = await asyncio.gather(*(client.post("/v1/query", json=body) for body in bodies))
    answers = [response.json() for response in responses]
    assert {response.status_code for response in responses} == {200}
    assert [answer["manifest"]["token_budget"] for answer in answers] == list(range(3000, 3050))
    assert len({answer["id"] for answer in answers}) == len(messages_api.messages) == 50
    assert all(answer["model"] for answer in answers)
    sources = [source for answer in answers for source in answer["manifest"]["sources"]]
    # The story ends at a fixed moment, so its health reports are stale by now.
    assert {source["status"] for source in sources} <= {"ok", "empty", "stale"}, sources


async def test_a_stopped_service_finishes_what_it_has_begun_and_takes_nothing_new(
    served: ServiceProcess, messages_api: MessagesApi
) -> None:
    """SIGTERM with calls in flight: new connections are refused, the calls end whole, the exit code is 0."""
    text = "All is well [I0]. " * 20
    messages_api.always(Hang(seconds=1.5, after_pieces=3, reply=Reply(text=text)))
    async with served.client() as client:
        whole = [asyncio.create_task(client.post("/v1/query", json=BODY)) for _ in range(2)]
        streamed = asyncio.create_task(client.post("/v1/query", json=BODY, headers=EVENTS))
        await messages_api.until(lambda journal: journal.open_streams == 3, START_S)
        served.process.send_signal(signal.SIGTERM)
        await refused(served)
        assert not any(call.done() for call in (*whole, streamed))
        assert [(await call).json()["text"] for call in whole] == [text, text]
        assert events_of((await streamed).text)[-1].data["text"] == text
    code, errors = await served.ended()
    assert code == 0
    assert "Traceback" not in errors


async def refused(served: ServiceProcess) -> None:
    """Returns when new connections are refused."""
    address = httpx.URL(served.url)
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(address.host, address.port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.02)


async def test_calls_that_outlast_the_patience_of_a_stop_are_cut(
    settings: Settings, messages_api: MessagesApi
) -> None:
    """A stop ends after its limit whatever hangs, and the model call ends with it."""
    messages_api.always(Hang(seconds=60, after_pieces=1))
    async with ServiceProcess(settings.model_copy(update={"shutdown_s": 1})) as process:
        async with process.client() as client:
            call = asyncio.create_task(client.post("/v1/query", json=BODY, headers=EVENTS))
            await messages_api.until(lambda journal: journal.open_streams == 1, START_S)
            process.process.send_signal(signal.SIGINT)
            with pytest.raises(httpx.RemoteProtocolError):
                await call
        code, _ = await process.ended()
    assert code == 0
    await messages_api.until(lambda journal: journal.disconnects == 1)


async def test_it_says_where_it_listens_and_what_it_works_with(
    postgres_story_url: str, messages_api: MessagesApi, tmp_path: Path
) -> None:
    """Two lines on standard output, without the password and the key."""
    url = postgres_story_url.replace("postgres:@", "postgres:hunter22@")
    assert "hunter22" in url
    memory = without_memory(tmp_path)
    settings = settings_of(url, tmp_path, messages_api, model="claude-haiku-5-5", memory_path=memory)
    async with ServiceProcess(settings) as process, process.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        address, configured = process.output
    assert process.url in address
    assert "claude-haiku-5-5" in configured
    assert str(memory) in configured
    assert "postgres:***@" in configured
    assert "hunter22" not in configured
    assert settings.anthropic_api_key
    assert settings.anthropic_api_key.get_secret_value() not in configured


async def test_every_line_of_a_json_log_is_json_and_names_its_request(settings: Settings) -> None:
    """Ours and those of the libraries, tracebacks included."""
    async with ServiceProcess(settings.model_copy(update={"log_format": "json"})) as process:
        async with process.client() as client:
            await client.post("/v1/query", json=BODY, headers={"x-request-id": "trace-1"})
        process.process.send_signal(signal.SIGTERM)
        _, errors = await process.ended()
    lines = [json.loads(line) for line in errors.splitlines()]
    (access,) = [line for line in lines if line["event"] == "request"]
    assert (access["method"], access["path"], access["status"]) == ("POST", "/v1/query", 200)
    assert access["request_id"] == "trace-1"
    # What the start says belongs to no request.
    of_sources = [line for line in lines if line["logger"] == "context_builder.builder"]
    assert {line["request_id"] for line in of_sources} == {"trace-1"}


async def test_one_id_leads_through_the_log_and_no_line_quotes_questions_or_secrets(
    settings: Settings, messages_api: MessagesApi
) -> None:
    """From HTTP to sources and the model call, each with its id; posts, refusals and failures included."""
    canary, secret = "canary-5d2a", "sk-ant-" + "Zq9" * 12
    messages_api.always(Fail(status=400, message=f"the key {secret} is wrong"))
    question = f"Is {canary} slow? password={secret}"
    async with ServiceProcess(settings.model_copy(update={"log_format": "json"})) as process:
        async with process.client() as client:
            for name, body in {
                "asked": {"question": question},
                "refused": {"question": question, "as_of": f"{canary} {secret}"},
                "unknown": {"question": question, "scope": {"deployments": [canary]}},
            }.items():
                await client.post("/v1/query", json=body, headers={"x-request-id": name})
            record = [{"id": canary, "user": secret}, {"model": canary, "error_code": secret}]
            await client.post("/v1/ingest/requests", json=record, headers={"x-request-id": "posted"})
            await client.post("/v1/ingest/litellm", json={"api_key": secret, "messages": canary})
        process.process.send_signal(signal.SIGTERM)
        _, errors = await process.ended()
    assert canary not in errors
    assert secret not in errors
    lines = [json.loads(line) for line in errors.splitlines()]
    asked = {(line["logger"], line["event"]) for line in lines if line.get("request_id") == "asked"}
    assert {
        ("context_builder.builder", "source failed"),  # there is no memory
        ("context_builder.answering", "model unavailable"),
        ("api.http.middleware.request_id", "request"),
    } <= asked
    ended = {line["request_id"]: line["status"] for line in lines if line["event"] == "request"}
    assert (ended["refused"], ended["posted"]) == (422, 200)


@pytest.fixture
def occupied_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with which it would start."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(settings.memory_path))
    monkeypatch.setenv("ARCPOINT_EMBEDDER", "hashing")


@pytest.mark.usefixtures("environment", "logging_as_before")
@pytest.mark.parametrize(
    ("variables", "options", "code", "said"),
    [
        ({"DATABASE_URL": "sqlite:////none/none.db"}, [], 1, "arcpoint db upgrade"),
        ({"DATABASE_URL": "postgresql://u:hunter22@127.0.0.1:1/x"}, [], 1, "cannot use the database"),
        ({"DATABASE_URL": "postgresql:///x?host=/none&password=hunter22"}, [], 1, "cannot use the database"),
        ({"DATABASE_URL": "nonsense"}, [], 1, "sqlite:///"),
        ({"HOST": "192.0.2.1"}, [], 1, "cannot listen on 192.0.2.1"),
        ({}, ["--host", "no.such.host.invalid"], 1, "cannot listen on no.such.host.invalid"),
        ({}, ["--port", "{port}"], 1, "port {port}: Address already in use; use --host and --port"),
        ({"PRICES_FILE": "none.toml"}, [], 2, "none.toml"),
        ({"ANTHROPIC_API_KEY": "hunter22 x"}, [], 2, "ARCPOINT_ANTHROPIC_API_KEY"),
        ({"SHUTDOWN_S": "soon"}, [], 2, "ARCPOINT_SHUTDOWN_S"),
        ({}, ["--port", "65536"], 2, "--port"),
        ({}, ["--workers", "2"], 2, "set ARCPOINT_MEMORY_URL to its address"),
        ({"MEMORY_URL": "http://m:1", "PRICES_FILE": "none.toml"}, ["--workers", "2"], 2, "none.toml"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    occupied_port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    variables: dict[str, str],
    options: list[str],
    code: int,
    said: str,
) -> None:
    """An exit code and a sentence that says what to do; never a traceback, a password or a key."""
    for name, value in variables.items():
        monkeypatch.setenv(f"ARCPOINT_{name}", value)
    assert run(["serve", *(option.format(port=occupied_port) for option in options)]) == code
    printed = capfd.readouterr()
    assert said.format(port=occupied_port) in printed.err
    assert len(printed.err.splitlines()) == 1, printed.err
    assert "hunter22" not in printed.err
    assert printed.out == ""


async def test_a_process_that_cannot_start_exits_with_one_line(settings: Settings) -> None:
    """The same as a process of its own: nothing else is printed by anyone."""
    process = ServiceProcess(settings.model_copy(update={"database_url": "sqlite:///none.db"}))
    await process.start()
    code, errors = await process.ended()
    assert code == 1
    assert len(errors.splitlines()) == 1
