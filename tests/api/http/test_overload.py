"""More questions than one worker can build, over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from context_builder.builder import BuiltContext
from context_builder.question.request import QuestionInput
from tests.loopback.messages_api import Hang, MessagesApi
from tests.support.http_service import QUESTION, running, settings_of
from tests.support.patience import PATIENCE_S


class Gate:
    """Lets builds begin, and end only when it is opened."""

    def __init__(self, app: FastAPI) -> None:
        self.builder = app.state.services.answerer.builder
        self._build = self.builder.build
        self.builder.build = self._build_behind_it
        self.askers: list[str | None] = []
        """Of the builds that began."""
        self.opened = asyncio.Event()

    async def _build_behind_it(self, ask: QuestionInput) -> BuiltContext:
        self.askers.append(ask.asked_by)
        await self.opened.wait()
        built: BuiltContext = await self._build(ask)
        return built


class Service:
    """The application behind a real server in this process."""

    def __init__(self, app: FastAPI, server: uvicorn.Server, url: str) -> None:
        self.app = app
        self.gate = Gate(app)
        self.server = server
        self.client = httpx.AsyncClient(base_url=url, timeout=PATIENCE_S)

    async def ask(self, user: str = "ada", path: str = "/v1/context") -> httpx.Response:
        return await self.client.post(path, json={"question": QUESTION, "user": user})

    async def asked(self, user: str = "ada") -> asyncio.Task[httpx.Response]:
        """A question that is at work or waits by now."""
        before = await self.load()
        task = asyncio.create_task(self.ask(user))
        await self.until(at_work_and_waiting=before["at_work"] + before["waiting"] + 1)
        return task

    async def load(self) -> dict[str, Any]:
        """What the service says of its load; it is never queued itself."""
        load: dict[str, Any] = (await self.client.get("/healthz")).json()["load"]["builds"]
        return load

    async def until(self, *, at_work_and_waiting: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                load = await self.load()
                if load["at_work"] + load["waiting"] == at_work_and_waiting:
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    database_url: str, folder: Path, api: MessagesApi | None = None, **bounds: int
) -> AsyncIterator[Service]:
    settings = settings_of(database_url, folder, api, max_builds=1, **bounds)
    async with running(settings) as app:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve(sockets=[listener]))  # without handlers of signals
        service = Service(app, server, f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with service.client:
            yield service
            service.gate.opened.set()
        server.should_exit = True
        await serving


async def test_beyond_the_queue_a_question_is_refused_in_words(sqlite_story_url: str, tmp_path: Path) -> None:
    """503 as a problem document with Retry-After; those before it are answered, and health never waits."""
    async with serving(sqlite_story_url, tmp_path, max_waiting=1) as service:
        before = [await service.asked(), await service.asked()]
        refused = await service.ask()
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        problem = refused.json()
        assert problem["type"] == "urn:arcpoint:problem:overloaded"
        assert "1 are at work and 1 wait" in problem["detail"]
        load = await service.load()
        assert (load["at_work"], load["waiting"], load["refused"]) == (1, 1, 1)
        service.gate.opened.set()
        assert [(await response).status_code for response in before] == [200, 200]


async def test_a_client_that_leaves_while_it_waits_is_forgotten_at_once(
    sqlite_story_url: str, tmp_path: Path
) -> None:
    """Its place is free before anyone else has finished, and nothing is built for it."""
    async with serving(sqlite_story_url, tmp_path, max_waiting=1) as service:
        working = await service.asked("ada")
        leaving = await service.asked("bob")
        leaving.cancel()
        await service.until(at_work_and_waiting=1)
        staying = await service.asked("eve")
        service.gate.opened.set()
        assert (await working).status_code == (await staying).status_code == 200
        assert service.gate.askers == ["ada", "eve"]


async def test_an_asker_with_many_questions_does_not_keep_out_another(
    sqlite_story_url: str, tmp_path: Path
) -> None:
    """The newcomer gets the last place of the one who has most, and its turn before the others of theirs."""
    async with serving(sqlite_story_url, tmp_path, max_waiting=3) as service:
        first = await service.asked("ada")
        busy = [await service.asked("ada") for _ in range(3)]
        newcomer = asyncio.create_task(service.ask("bob"))
        displaced = await busy.pop()
        assert displaced.status_code == 503
        assert "other askers" in displaced.json()["detail"]
        service.gate.opened.set()
        answers = [await response for response in (first, newcomer, *busy)]
        assert {response.status_code for response in answers} == {200}
        assert service.gate.askers == ["ada", "ada", "bob", "ada"]


async def test_a_stop_finishes_what_is_at_work_and_what_waits(sqlite_story_url: str, tmp_path: Path) -> None:
    """Nothing that was accepted is lost, and new connections are refused."""
    async with serving(sqlite_story_url, tmp_path, max_waiting=1) as service:
        accepted = [await service.asked(), await service.asked()]
        service.server.should_exit = True
        async with asyncio.timeout(PATIENCE_S):
            while any(each.is_serving() for each in service.server.servers):  # noqa: ASYNC110  no event
                await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=service.client.base_url) as late:
            try:
                await late.get("/healthz")
            except httpx.ConnectError:
                pass
            else:
                raise AssertionError("a new connection was accepted")
        service.gate.opened.set()
        assert [(await response).status_code for response in accepted] == [200, 200]


async def test_a_model_that_writes_holds_no_slot_for_building(
    sqlite_story_url: str, tmp_path: Path, messages_api: MessagesApi
) -> None:
    """Contexts are built meanwhile; answers in flight have a bound of their own, without a queue."""
    messages_api.always(Hang(seconds=PATIENCE_S, after_pieces=1))
    async with serving(sqlite_story_url, tmp_path, messages_api, max_answers=1) as service:
        service.gate.opened.set()
        writing = asyncio.create_task(service.ask(path="/v1/query"))
        await messages_api.until(lambda journal: journal.open_streams == 1, PATIENCE_S)
        assert (await service.ask()).status_code == 200
        refused = await service.ask(path="/v1/query")
        assert (refused.status_code, refused.json()["title"]) == (503, "Too many questions at once")
        writing.cancel()
        await messages_api.until(lambda journal: journal.open_streams == 0, PATIENCE_S)
