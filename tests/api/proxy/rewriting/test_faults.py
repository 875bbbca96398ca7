"""Whatever fails or hangs, a request goes on, and is the same conversation afterwards (C29)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text

from api.proxy.rewriting.gateway_states import GENERAL
from api.proxy.rewriting.policy import Policies, Policy
from api.proxy.rewriting.rewriting import RewritingOptions
from context_builder.question.request import ContextRequest
from context_builder.source import Section, Stores
from models import ConversationTurn
from models.database import Database
from tests.support.gateway import NOON, Gateway
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES
from tests.support.proxied_chat import Chat, Worker, breaks, worker

SHORT = RewritingOptions(deadline_s=0.15)
MARK = b"=== gateway context"


@pytest.fixture
async def gateway(database: Database) -> Gateway:
    """A gateway with trouble to tell of."""
    gateway = Gateway(database)
    await gateway.deployment("gpt-4/aws")
    await breaks(database, "gpt-4/aws", NOON)
    return gateway


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Let every statement about turns that writes hang, and on PostgreSQL those that read too."""
    other = Database(url)
    async with other.write() as session:
        lock = "SELECT 1" if other.is_sqlite else "LOCK TABLE conversation_turns IN ACCESS EXCLUSIVE MODE"
        await session.execute(text(lock))  # SQLite's writers lock all of it when they begin
        yield
    await other.close()


async def ready(here: Worker) -> None:
    """Have the state of the gateway, so that only the store can be late."""
    until = asyncio.get_running_loop().time() + PATIENCE_S
    assert await here.states.state(None, GENERAL, until)


async def texts(database: Database) -> int:
    async with database.read() as session:
        found = select(func.count()).select_from(ConversationTurn).where(ConversationTurn.text.is_not(None))
        return await session.scalar(found) or 0


@pytest.mark.both_databases
async def test_a_store_that_hangs_costs_the_insertion_alone(gateway: Gateway, database_url: str) -> None:
    """What could not be stored is not sent, not stored later, and not sent by the next request either."""
    async with worker(gateway.database, SHORT) as here:
        await ready(here)
        chat = Chat(here)
        chat.client.says("one")
        request = chat.request()
        async with locked(database_url):
            assert (await here.rewriter.rewrite(request)).body is request.body
        await here.storing.close()
        assert await texts(gateway.database) == 0
        assert here.rewriter.counts["not stored"] + here.rewriter.counts["no store"] == 1
        if here.rewriter.counts["not stored"]:
            assert (await here.rewriter.rewrite(request)).body is request.body


@pytest.mark.both_databases
async def test_what_a_worker_knows_is_inserted_without_the_store(gateway: Gateway, database_url: str) -> None:
    """A conversation under way does not change while the database is away."""
    async with worker(gateway.database) as here:
        chat = Chat(here)
        await chat.asks("one")
        async with locked(database_url):
            hurried = RewritingOptions(deadline_s=0.05)
            here.rewriter._options = hurried
            chat.client.says("two")
            request = chat.request()
            rewrite = await here.rewriter.rewrite(request)
            assert rewrite.body.count(MARK) == 1
            assert chat.upstream.answer(request.path, {}, rewrite.body)[0] == 200


async def test_after_a_failure_nothing_is_waited_for(gateway: Gateway, database_url: str) -> None:
    """While the circuit is open the store is not even asked."""
    async with worker(gateway.database, SHORT, pause_s=PATIENCE_S) as here:
        await ready(here)
        async with locked(database_url):
            for number in range(5):
                chat = Chat(here)
                chat.client.says(f"conversation {number}")
                request = chat.request()
                assert (await here.rewriter.rewrite(request)).body is request.body
            assert here.storing.failures == 1


async def test_a_database_that_is_not_there_is_done_without() -> None:
    """Nothing listens at its port: requests go through as they came."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    async with worker(database) as here:
        chat = Chat(here)
        chat.client.says("one")
        request = chat.request()
        assert (await here.rewriter.rewrite(request)).body is request.body
        assert here.rewriter.counts["no store"] == 1
    await database.close()


async def test_context_that_is_late_is_there_for_the_next_turn(gateway: Gateway) -> None:
    """A miss costs the deadline, goes without, and is not lost."""
    free = asyncio.Event()

    async def slow(_request: ContextRequest, _stores: Stores) -> Section:
        await free.wait()
        return Section("read at last")

    incidents = next(source for source in SOURCES if source.name == "incidents")
    health = next(source for source in SOURCES if source.name == "health")
    async with worker(gateway.database, SHORT, sources=[health, replace(incidents, read=slow)]) as here:
        chat = Chat(here)
        assert MARK.decode() not in await chat.asks("one")
        assert here.rewriter.counts["no context"] + here.rewriter.counts["no store"] == 1
        free.set()
        await ready(here)
        here.rewriter._options = RewritingOptions(deadline_s=PATIENCE_S)
        second = await chat.asks("two")
        assert second.count(MARK.decode()) == 1
        assert second.index(MARK.decode()) > second.index('"two"')


class _Defect(Mapping[str, Policy]):
    """A defect of ours, which no one foresaw."""

    def __getitem__(self, key: str) -> Policy:
        raise ZeroDivisionError(key)

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return True


async def test_a_defect_never_fails_a_request(gateway: Gateway) -> None:
    """It is counted, logged, and the body goes as it came."""
    options = RewritingOptions(Policies(by_credential=_Defect()), deadline_s=PATIENCE_S)
    async with worker(gateway.database, options) as here:
        chat = Chat(here)
        chat.client.says("one")
        request = chat.request()
        assert (await here.rewriter.rewrite(request)).body is request.body
        assert here.rewriter.counts["defect"] == 1


async def test_a_defect_costs_what_is_new_and_not_what_was_told(gateway: Gateway) -> None:
    """The conversation stays the same one; only nothing more is told."""
    async with worker(gateway.database) as here:
        chat = Chat(here)
        await chat.asks("one")
        here.rewriter._options = RewritingOptions(Policies(by_credential=_Defect()), deadline_s=PATIENCE_S)
        assert (await chat.asks("two")).count(MARK.decode()) == 1
        assert here.rewriter.counts["defect"] == 1


async def test_a_client_that_leaves_ends_the_rewriting(gateway: Gateway) -> None:
    """Its cancellation reaches the work that was done for it, and what others share goes on."""
    begun, free = asyncio.Event(), asyncio.Event()

    async def slow(_request: ContextRequest, _stores: Stores) -> Section:
        begun.set()
        await free.wait()
        return Section("read")

    health = next(source for source in SOURCES if source.name == "health")
    async with worker(gateway.database, sources=[replace(health, read=slow)]) as here:
        chat = Chat(here)
        chat.client.says("one")
        task = asyncio.create_task(here.rewriter.rewrite(chat.request()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free.set()
        await ready(here)
