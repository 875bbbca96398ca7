"""Everything works through a real PgBouncer in transaction mode, however few sessions it has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from api.demo_data import seed
from models import Request
from models.database import Database
from models.errors import DatabaseUnreachable
from models.migrations import head_revision, upgrade
from models.snapshot import Snapshots
from tests.support.patience import PATIENCE_S
from tests.support.pooler import PgBouncer, make_certificate
from tests.support.prepared_databases import STORY_ANCHOR, PostgresServer

pytestmark = pytest.mark.process

SESSIONS = 3


@pytest.fixture
def empty_url(postgres: PostgresServer) -> Iterator[str]:
    postgres.psql("CREATE DATABASE pooled")
    yield postgres.url("pooled")
    postgres.psql("DROP DATABASE pooled WITH (FORCE)")


@pytest.fixture
def pooler(empty_url: str, tmp_path: Path) -> Iterator[PgBouncer]:
    pooler = PgBouncer(tmp_path, empty_url, default_pool_size=SESSIONS)
    yield pooler
    pooler.stop()


async def test_a_pooler_in_transaction_mode_needs_no_setting(pooler: PgBouncer) -> None:
    """Schema, bulk writes and snapshots work, again and from several clients at once, on shared sessions."""
    clients = [Database(pooler.url()) for _ in range(3)]
    await upgrade(clients[0])
    await upgrade(clients[1])
    written = await seed(clients[0], seed=7, anchor=STORY_ANCHOR)

    async def count(client: Database) -> set[int]:
        """Count in two tasks of one snapshot, one after the other in one of them."""
        async with Snapshots(client, readers=2).open() as snapshot:

            async def one() -> int:
                async with snapshot.session() as session:
                    return (await session.execute(select(func.count()).select_from(Request))).scalar_one()

            return set(await asyncio.gather(one(), one())) | {await one()}

    async with asyncio.timeout(PATIENCE_S):
        counts = await asyncio.gather(*(count(client) for client in clients * 4))
    assert all(len(each) == 1 for each in counts)
    assert len(set(map(frozenset, counts))) == 1
    assert written.counts["requests"] in counts[0]
    for client in clients:
        assert await client.revision() == head_revision()
        await client.close()


async def test_questions_with_more_readers_than_the_pooler_has_sessions_do_not_wait_for_each_other(
    pooler: PgBouncer,
) -> None:
    """Each goes on with the sessions it got: holding some while waiting for others would never end."""
    database = Database(pooler.url(), connections=32)
    snapshots = Snapshots(database, readers=8)

    async def ask() -> int:
        async with snapshots.open() as snapshot, asyncio.TaskGroup() as group:

            async def one() -> int:
                async with snapshot.session() as session:
                    number: int = (await session.execute(text("SELECT 1"))).scalar_one()
                    return number

            tasks = [group.create_task(one()) for _ in range(12)]
        return sum(task.result() for task in tasks)

    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*(ask() for _ in range(6))) == [12] * 6
    await database.close()


async def test_what_a_pooler_refuses_is_its_own_one_line(pooler: PgBouncer) -> None:
    """A setting that it does not hand on is named."""
    database = Database(pooler.url("?options=-c%20work_mem%3D8MB"))
    with pytest.raises(DatabaseUnreachable, match="unsupported startup parameter: options"):
        await database.revision()
    await database.close()


async def test_tls_is_as_the_url_asks(pooler: PgBouncer, empty_url: str, tmp_path: Path) -> None:
    """`require` encrypts, `verify-full` knows its root only, and no encryption is not an answer to either."""
    (tmp_path / "tls").mkdir()
    certificate, wrong = make_certificate(tmp_path, "right"), make_certificate(tmp_path, "wrong")
    encrypted = PgBouncer(
        tmp_path / "tls",
        empty_url,
        client_tls_sslmode="require",
        client_tls_cert_file=certificate,
        client_tls_key_file=certificate.with_suffix(".key"),
    )
    cases = [
        (encrypted, "?sslmode=require", None),
        (encrypted, f"?sslmode=verify-full&sslrootcert={certificate}", None),
        (encrypted, f"?sslmode=verify-full&sslrootcert={wrong}", "certificate verify failed"),
        (encrypted, "?sslmode=disable", "SSL required"),
        (pooler, "?sslmode=require", "rejected SSL upgrade"),
        (pooler, "?sslmode=prefer", None),
    ]
    try:
        for server, parameters, failure in cases:
            database = Database(server.url(parameters))
            if failure is None:
                assert await database.revision() is None
            else:
                with pytest.raises(DatabaseUnreachable, match=failure):
                    await database.revision()
            await database.close()
    finally:
        encrypted.stop()
