"""The index on a Chroma server: what it says when the server fails, and that others may use it too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from memory.errors import CollectionMissing, MemoryCorrupt, MemoryUnavailable
from memory.index.chroma import ChromaIndex
from memory.index.chroma_server import ChromaServerIndex
from models.database import Database
from tests.support.chroma_process import ChromaProcess
from tests.support.incident_world import EPOCH, LATER, World, incident
from tests.support.index_rows import rows
from tests.support.loop_ticker import Ticker

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]

TOKEN = "very-secret-token"
DEADLINE_S = 0.6
NAME = "incidents-of-this-test"


@pytest_asyncio.fixture(loop_scope="session")
async def own_server(tmp_path: Path) -> AsyncIterator[ChromaProcess]:
    """Start a server that the test may break."""
    server = await asyncio.to_thread(ChromaProcess, tmp_path / "server")
    yield server
    await asyncio.to_thread(server.kill)


@asynccontextmanager
async def another(server: ChromaProcess, **values: Any) -> AsyncIterator[ChromaServerIndex]:
    """One more index on a server, as another process would have it."""
    index = ChromaServerIndex(server.url, **values)
    yield index
    await index.close()


async def test_https_is_not_given_up(chroma_server: ChromaProcess) -> None:
    """Where HTTPS is asked for, nothing is sent in plain text, and certificates are verified."""
    index = ChromaServerIndex(chroma_server.url.replace("http:", "https:"), token=TOKEN)
    with pytest.raises(MemoryUnavailable, match=r"cannot be reached \(.*SSL.*\); start it"):
        await index.collections()
    assert index._http is not None
    assert index._http._transport._pool._ssl_context.verify_mode.name == "CERT_REQUIRED"  # type: ignore[attr-defined]
    await index.close()


async def test_the_machine_s_surroundings_change_nothing(
    chroma_server: ChromaProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxies, certificates and keys of the environment, and a file `.env`, are not looked at."""
    await asyncio.to_thread((tmp_path / ".env").write_text, "CHROMA_SERVER_SSL_ENABLED=true\nENVIRONMENT=x\n")
    monkeypatch.chdir(tmp_path)
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "CHROMA_SERVER_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("CHROMA_SERVER_NOFILE", "none")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with another(chroma_server) as index:
        await index.open()


async def test_a_server_that_was_killed_is_used_again_when_it_is_back(own_server: ChromaProcess) -> None:
    """While it is gone calls say so at once; after, what was stored is there, and no call is lost."""
    async with another(own_server) as index:
        await index.create(NAME)
        await index.upsert(NAME, rows(range(150)))
        before = await index.query(NAME, rows(range(3)).vectors, limit=5)
        await asyncio.to_thread(own_server.kill)
        with pytest.raises(MemoryUnavailable, match="cannot be reached"):
            await index.count(NAME)
        for _ in range(2):
            await asyncio.to_thread(own_server.kill)
            await asyncio.to_thread(own_server.start)
            assert await index.count(NAME) == 150
        assert await index.query(NAME, rows(range(3)).vectors, limit=5) == before
        asked = [asyncio.create_task(index.count(NAME)) for _ in range(20)]
        await asyncio.sleep(0.002)
        await asyncio.to_thread(own_server.kill)
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert outcome == 150 or isinstance(outcome, MemoryUnavailable)


async def test_a_server_that_stands_still_costs_the_deadline(own_server: ChromaProcess) -> None:
    """A call waits no longer than it may, cancelling one leaves the others alone, and it is usable after."""
    async with another(own_server, call_deadline_s=DEADLINE_S) as index:
        index._call_deadline_s = 30.0
        await index.create(NAME)
        await index.upsert(NAME, rows(range(100)))
        index._call_deadline_s = DEADLINE_S
        own_server.halt()
        started = time.monotonic()
        calls = [asyncio.create_task(index.count(NAME)) for _ in range(60)]  # more than there are connections
        await asyncio.sleep(0.05)
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            with pytest.raises(MemoryUnavailable, match=r"did not answer within 0\.6 s"):
                await call
        assert time.monotonic() - started < 20  # the default would be 30 s
        own_server.go_on()
        index._call_deadline_s = 30.0
        assert await index.count(NAME) == 100


async def test_two_indexes_on_a_server_see_each_other_s_writes_at_once(chroma_server: ChromaProcess) -> None:
    """What one writes or drops the other meets with its next call; both may create the same collection."""
    name = "incidents-shared"
    async with another(chroma_server) as one, another(chroma_server) as other:
        await asyncio.gather(*(index.create(name) for index in (one, other) * 5))
        stored = rows(range(120))
        for number in range(0, 120, 40):
            part = slice(number, number + 40)
            await one.upsert(
                name, replace(stored, **{column: getattr(stored, column)[part] for column in COLUMNS})
            )
            [[nearest]] = await other.query(name, stored.vectors[number : number + 1], limit=1)
            assert (nearest.key, nearest.similarity) == (str(number), 1.0)
        await other.delete(name, ["7"])
        assert "7" not in await one.stamps(name)
        await other.drop(name)
        for call in (one.count(name), one.query(name, stored.vectors[:1], limit=1)):
            with pytest.raises(CollectionMissing):
                await call
        await one.create(name)  # another of that name
        assert await other.count(name) == 0


COLUMNS = ("keys", "vectors", "stamps", "known_at")


async def test_the_same_vectors_give_the_same_numbers_as_in_a_folder(
    shared_index: ChromaIndex, server_index: ChromaServerIndex
) -> None:
    """A prompt does not change with where memory is kept: the same rows, similarities and order."""
    name = "incidents-same-numbers"
    chance = np.random.default_rng(11)
    centres = np.repeat(chance.normal(size=(12, 384)), 50, axis=0)
    vectors = centres + 0.4 * chance.normal(size=centres.shape)
    stored = replace(
        rows(range(600)),
        vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
    )
    asked = rows(range(9_000, 9_020), dimension=384).vectors
    asked = np.vstack([asked, stored.vectors[::60]])
    found = []
    for index in (shared_index, server_index):
        await index.create(name)
        await index.upsert(name, stored)
        for hours in (9_999, 400, 20):
            moment = EPOCH + timedelta(hours=hours)
            found.append(await index.query(name, asked, limit=50, known_before=moment))
    assert found[:3] == found[3:]
    assert [len(neighbors) for neighbors in found[2]] == [20] * 30


async def test_collections_of_others_are_left_alone(own_server: ChromaProcess) -> None:
    """Only those of incident memory are listed and dropped by starting again."""
    foreign = f"{own_server.url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    async with httpx.AsyncClient(trust_env=False) as client, another(own_server) as index:
        assert (await client.post(foreign, json={"name": "someone-elses"})).is_success
        await index.create(NAME)
        assert await index.collections() == {NAME}
        await index.reset()
        assert await index.collections() == frozenset()
        assert [row["name"] for row in (await client.get(foreign)).json()] == ["someone-elses"]


async def test_a_collection_that_does_not_compare_by_cosine_is_refused(chroma_server: ChromaProcess) -> None:
    """Distances of another kind are never taken for cosines, also where ours was to be made."""
    address = f"{chroma_server.url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    async with httpx.AsyncClient(trust_env=False) as client, another(chroma_server) as index:
        assert (await client.post(address, json={"name": "incidents-euclid"})).is_success
        for call in (index.count("incidents-euclid"), index.create("incidents-euclid")):
            with pytest.raises(
                MemoryCorrupt, match=r"euclid compares by l2 instead of cosine\); `arcpoint memory"
            ):
                await call
        await index.drop("incidents-euclid")


async def test_closing_ends_what_waits(own_server: ChromaProcess) -> None:
    """Calls in flight end with MemoryUnavailable, later ones are refused, and opening it serves again."""
    async with another(own_server) as index:
        await index.create(NAME)
        own_server.halt()
        calls = [asyncio.create_task(index.count(NAME)) for _ in range(5)]
        await asyncio.sleep(0.1)
        await index.close()
        own_server.go_on()
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert outcome == 0 or isinstance(outcome, MemoryUnavailable)
        with pytest.raises(MemoryUnavailable, match="incident memory is closed"):
            await index.count(NAME)
        await index.open()
        assert await index.count(NAME) == 0


async def test_memory_is_built_and_recalled_over_a_server(
    sqlite: Database, server_index: ChromaServerIndex
) -> None:
    """Incident memory as a whole, with a server in place of a folder."""
    world = World(sqlite, server_index)
    await world.add(*(incident(number, scene=number) for number in range(12)))
    report = await world.memory().sync()
    assert report.entries == 12
    recall = await world.recall("certificate has expired, TLS handshake failures")
    assert recall.recollections[0].title == "TLS handshake failures on every call"
    assert (await world.memory().rebuild()).collection != report.collection
    status = await world.memory().status()
    assert (status.unavailable, status.lag) == (None, 0)


async def test_the_loop_stays_quick_beside_many_rows_and_forty_queries(chroma_server: ChromaProcess) -> None:
    """Law 9: while rows are written and many ask at once, other tasks run on."""
    name, stored, answered = "incidents-load", rows(range(400), dimension=384), 0
    async with another(chroma_server, call_deadline_s=600) as index:
        await index.create(name)
        ticker = Ticker()
        ticking = asyncio.create_task(ticker.run())
        writing = asyncio.create_task(index.upsert(name, stored))
        while not writing.done():
            asked = (
                index.query(name, stored.vectors[number : number + 1], limit=51, known_before=LATER)
                for number in range(40)
            )
            answered += len(await asyncio.gather(*asked))
        await writing
        ticking.cancel()
        [[nearest]] = await index.query(name, stored.vectors[399:], limit=1)
        assert nearest.key == "399"
    assert answered >= 40
    assert len(ticker.lags) > answered / 4
