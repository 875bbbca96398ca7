"""Days of the request log on PostgreSQL: each is made when it is needed, has its ids, and goes as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from api.cli.doctor import storage
from api.cli.doctor.finding import Level
from api.cli.doctor.storage import check_days
from api.ingest.records import FieldProblem, QualityRecord
from api.ingest.store import Outcome
from api.ingest.store.quality import store_quality
from api.ingest.store.transaction import commit
from context_builder.telemetry.newest_requests import load_request
from models import Deployment, QualityScore, Request, RequestRollup, User
from models.database import Database
from models.errors import DatabaseError, DatabaseReadOnly
from models.migrations import downgrade, upgrade
from models.postgresql_url import connect
from models.request_log import NewRequest, append, partitions
from models.request_log.cold import ColdFiles
from models.request_log.cold.moving import move_days
from models.request_log.partitions import drop_partition, make_partitions, partition_of
from models.request_log.retention import drop_days
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.postgres

DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = TODAY + DAY / 2


def asked(name: str, moment: datetime = NOON) -> NewRequest:
    return NewRequest(
        public_id=name, created_at=moment, user_id=1, deployment_id=1, tier="budget", status="success"
    )


@pytest.fixture
async def log(postgres_url: str) -> AsyncIterator[Database]:
    """A database with a user and a deployment."""
    database = Database(postgres_url)
    async with database.write() as session:
        session.add(Deployment(id=1, public_id="m/b", model="m", backend="b", created_at=NOON))
        session.add(User(id=1, public_id="u", tier="budget", created_at=NOON, updated_at=NOON))
    yield database
    await database.close()


async def add(database: Database, *requests: NewRequest) -> set[str]:
    async with database.write() as session:
        return set(await append(session, requests))


async def days(database: Database) -> set[str]:
    """The partitions beside the first one."""
    async with database.read() as session:
        of_log = "SELECT relid::regclass::text FROM pg_partition_tree('requests') WHERE level = 1"
        return {
            name for name in await session.scalars(text(of_log)) if not name.startswith("requests_before_")
        }


async def counted(database: Database) -> tuple[int, int]:
    """Requests in the log, and in the rollups."""
    async with database.read() as session:
        of_hours = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == "hour")
        logged = await session.scalar(select(func.count()).select_from(Request))
        return logged or 0, await session.scalar(of_hours) or 0


async def test_an_id_names_one_request_of_a_day(log: Database) -> None:
    """Sent again in one post, the next or a late one it is stored once; that of another day is another."""
    last = TODAY + DAY - timedelta(microseconds=1)
    assert await add(log, asked("a"), asked("a"), asked("b", last)) == {"a", "b"}
    assert await add(log, asked("a", TODAY), asked("b", last + timedelta(microseconds=1))) == {"b"}
    assert await add(log, asked("b", last), asked("b", TODAY - DAY), asked("a")) == {"b"}
    assert await add(log, asked("b", TODAY - DAY)) == set()
    assert await days(log) == {partition_of(TODAY + n * DAY) for n in (-1, 0, 1)}
    assert await counted(log) == (4, 4)


async def test_an_id_of_several_days_names_the_newest(log: Database) -> None:
    """A question that gives nothing but the id means what happened last."""
    await add(log, asked("a", NOON - DAY))
    await add(log, asked("a", NOON))
    async with log.read() as session:
        found = await load_request(session, "a")
    assert found is not None
    assert found.request.created_at == NOON


async def test_writers_at_once_make_each_day_once(log: Database) -> None:
    """Also if they begin with different ones; what they have in common is stored once, and nobody fails."""
    posts = [[asked(f"r{n}", NOON + n * DAY) for n in range(-start, 3)] for start in range(8)]
    added = await asyncio.gather(*(add(log, *post) for post in posts))
    assert sorted(name for names in added for name in names) == sorted({one.public_id for one in posts[-1]})
    assert await days(log) == {partition_of(TODAY + n * DAY) for n in range(-7, 3)}


async def test_odd_moments_make_no_tables(log: Database) -> None:
    """A sender with a clock of any year shares one partition with all that is old, and is stored there."""
    odd = [datetime(year, 3, 1, tzinfo=UTC) for year in range(1, 2026, 5)]
    assert len(await add(log, *(asked(f"r{each.year}", each) for each in odd))) == len(odd)
    assert await days(log) == set()
    assert await add(log, *(asked(f"r{each.year}", each) for each in odd), asked("new", odd[7])) == {"new"}


async def test_a_day_goes_as_a_whole(log: Database) -> None:
    """Only with as many requests as are expected; its rollups stay, and a late request makes it again."""
    await add(log, asked("a"), asked("b"), asked("c", NOON + DAY))
    assert not await drop_partition(log, TODAY, rows=1)
    assert await days(log) == {partition_of(TODAY), partition_of(TODAY + DAY)}
    assert await drop_partition(log, TODAY, rows=2)
    assert await days(log) == {partition_of(TODAY + DAY)}
    assert await counted(log) == (1, 3)
    assert not await drop_partition(log, TODAY)
    assert not await drop_partition(log, datetime(2020, 1, 1, tzinfo=UTC)), "it is in the first partition"
    assert await add(log, asked("a")) == {"a"}


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Any]:
    """A snapshot, as a question has one."""
    async with database.read() as session:
        await session.execute(text("SELECT count(*) FROM users"))
        yield session


async def test_a_day_stays_while_somebody_does_not_know_that_it_goes(
    log: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot would miss a table that is gone; after it, the day goes."""
    monkeypatch.setattr(partitions, "_SNAPSHOTS_S", 0.3)
    await add(log, asked("a"))
    async with reading(log) as session:
        assert not await drop_partition(log, TODAY)
        assert await session.scalar(select(func.count()).select_from(Request)) == 1
        monkeypatch.setattr(partitions, "_SNAPSHOTS_S", PATIENCE_S)
        dropping = asyncio.create_task(drop_partition(log, TODAY))
        await asyncio.sleep(0.1)
        assert not dropping.done()
    assert await dropping


async def test_a_day_goes_although_others_read_the_log(
    log: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not wait for it, nor do writers; it goes when the last of its readers has ended."""
    monkeypatch.setattr(partitions, "_DETACH_S", 0.3)
    await add(log, asked("a"), asked("b", NOON + DAY))
    ready, ended = asyncio.Event(), asyncio.Event()
    newer = partitions._are_snapshots_newer

    async def then_a_reader_comes(connection: Any) -> bool:
        assert await newer(connection)
        ready.set()
        await asyncio.sleep(0.2)
        return True

    async def read() -> None:
        await ready.wait()
        async with log.read() as session:
            assert await session.scalar(select(func.count()).select_from(Request)) == 2
            await ended.wait()
            assert await session.scalar(select(func.count()).select_from(Request)) == 2

    monkeypatch.setattr(partitions, "_are_snapshots_newer", then_a_reader_comes)
    reader = asyncio.create_task(read())
    dropping = asyncio.create_task(drop_partition(log, TODAY))
    await ready.wait()
    async with asyncio.timeout(PATIENCE_S):
        while (await counted(log))[0] == 2:  # noqa: ASYNC110  another connection's work
            await asyncio.sleep(0.05)
        assert await add(log, asked("c", NOON + DAY)) == {"c"}
    assert not dropping.done()
    ended.set()
    await reader
    assert await dropping
    assert await counted(log) == (2, 3)


async def interrupt(log: Database, step: str) -> None:
    """Leaves today's partition as a removal does that is killed in a step."""
    name, connection = partition_of(TODAY), await connect(log.url)
    try:
        await connection.execute(f"COMMENT ON TABLE {name} IS '{partitions._IS_REMOVED}'")
        if step == "detach":
            async with log.read() as session:
                await session.scalar(select(func.count()).select_from(Request))
                with pytest.raises(TimeoutError):
                    detach = f"ALTER TABLE requests DETACH PARTITION {name} CONCURRENTLY"
                    await connection.execute(detach, timeout=0.3)
                await connection.execute("SELECT 1")  # answered once the other has been cut off
        else:
            await connection.execute(f"ALTER TABLE requests DETACH PARTITION {name}")
    finally:
        await connection.close()


@pytest.mark.parametrize("step", ["detach", "drop"])
async def test_a_removal_that_was_interrupted_is_ended_by_the_next(log: Database, step: str) -> None:
    """Also if that is of another day; a late request of the day waits for it, and is stored."""
    await add(log, asked("a"), asked("b", NOON - DAY), asked("c", NOON + DAY))
    await interrupt(log, step)
    assert (await counted(log))[0] == 2
    late = asyncio.create_task(commit(log, lambda session: append(session, [asked("late")])))
    await asyncio.sleep(0.2)
    assert not late.done()
    assert await drop_days(log, before=TODAY) == [TODAY - DAY]
    assert set(await late) == {"late"}
    assert await days(log) == {partition_of(TODAY), partition_of(TODAY + DAY)}


async def test_a_table_that_somebody_else_detached_stays(log: Database) -> None:
    """It may be what they want to keep."""
    await add(log, asked("a"), asked("b", NOON + DAY))
    async with log.write() as session:
        await session.execute(text(f"ALTER TABLE requests DETACH PARTITION {partition_of(TODAY)}"))
    await drop_days(log, before=TODAY + DAY)
    async with log.read() as session:
        assert await session.scalar(text(f"SELECT count(*) FROM {partition_of(TODAY)}")) == 1  # noqa: S608


async def test_a_reader_of_a_removed_day_holds_up_no_new_day(
    log: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that waits for a long reader gives up, since the next day cannot be made meanwhile."""
    monkeypatch.setattr(partitions, "_DETACH_S", 0.3)
    await add(log, asked("a"))
    await interrupt(log, "detach")
    async with log.read() as session:
        await session.scalar(select(func.count()).select_from(Request))
        dropping = asyncio.create_task(drop_partition(log, TODAY))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(PATIENCE_S):
            assert await add(log, asked("b", NOON + DAY)) == {"b"}
        with pytest.raises(DatabaseError, match="somebody reads it for long"):
            await dropping
    assert await drop_partition(log, TODAY)


async def test_what_is_written_while_the_schema_is_downgraded_stays(log: Database) -> None:
    """The older log is a copy, which is made when no writer is left."""
    async with log.write() as session:
        await append(session, [asked("a")])
        downgrading = asyncio.create_task(downgrade(log, "0015"))
        await asyncio.sleep(0.3)
    await downgrading
    assert (await counted(log))[0] == 1


async def test_an_older_log_becomes_the_first_partition(log: Database) -> None:
    """What was in it is known, and rights to read it stay; days after some to come get their own."""
    await downgrade(log, "0015")
    async with log.write() as session:
        await session.execute(text("CREATE ROLE grafana"))
        await session.execute(text("GRANT SELECT ON requests TO grafana, PUBLIC"))
        for n in range(3):
            await session.execute(
                text(
                    "INSERT INTO requests (public_id, created_at, user_id, deployment_id, status,"
                    " cost_nanousd) VALUES (:name, :moment, 1, 1, 'success', 0)"
                ),
                {"name": f"r{n}", "moment": NOON - n * 200 * DAY},
            )
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        await upgrade(log, stop)
    assert await log.revision() == "0015"
    await upgrade(log, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (1, 1)]
    known = [asked(f"r{n}", NOON - n * 200 * DAY) for n in range(3)]
    assert await add(log, *known, asked("new")) == {"new"}
    assert await days(log) == set()
    assert await add(log, asked("r0", NOON + 9 * DAY)) == {"r0"}
    assert await days(log) == {partition_of(TODAY + 9 * DAY)}
    async with log.write() as session:
        for role in ("grafana", "public"):
            assert await session.scalar(
                text("SELECT has_table_privilege(:role, 'requests', 'SELECT')"), {"role": role}
            )
        await session.execute(text("DROP OWNED BY grafana"))
        await session.execute(text("DROP ROLE grafana"))
    with pytest.raises(RuntimeError, match="r0 names requests of several days"):
        await downgrade(log, "0015")
    assert (await counted(log))[0] == 5


async def test_who_writes_needs_no_right_to_make_tables(log: Database, log_of_writer: Database) -> None:
    """A new day is made in the name of the log's owner, for the role in use; for nobody who may only read."""
    await add(log_of_writer, asked("a"))
    assert await days(log) == {partition_of(TODAY)}
    role = log_of_writer.url.username
    async with log.write() as session:
        await session.execute(text(f"CREATE ROLE {role}_of IN ROLE {role} NOINHERIT"))
        await session.execute(text(f"SET LOCAL SESSION AUTHORIZATION {role}_of"))
        await session.execute(text(f"SET LOCAL ROLE {role}"))
        await make_partitions(session, [TODAY - DAY])
    async with log.write() as session:
        await session.execute(text(f"DROP ROLE {role}_of"))
    assert await days(log) == {partition_of(TODAY), partition_of(TODAY - DAY)}
    assert not await drop_partition(log_of_writer, TODAY), "row by row it may"
    async with log.write() as session:
        await session.execute(text(f"REVOKE INSERT ON requests FROM {log_of_writer.url.username}"))
    with pytest.raises(DatabaseReadOnly, match="permission denied for table requests"):
        await add(log_of_writer, asked("b", NOON + DAY))
    assert await days(log) == {partition_of(TODAY), partition_of(TODAY - DAY)}


@pytest.fixture
async def log_of_writer(log: Database) -> AsyncIterator[Database]:
    """The same database for a role that reads and writes rows."""
    role = f"writer_{uuid4().hex}"
    async with log.write() as session:
        for statement in (
            f"CREATE ROLE {role} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        ):
            await session.execute(text(statement))
    database = Database(log.url.set(username=role).render_as_string(hide_password=False))
    yield database
    await database.close()
    async with log.write() as session:
        await session.execute(text(f"DROP OWNED BY {role}"))
        await session.execute(text(f"DROP ROLE {role}"))


async def test_a_score_is_of_the_last_request_before_it(log: Database) -> None:
    """Where several days have the id."""
    await add(log, asked("a"), asked("a", NOON + DAY), asked("b", NOON + DAY))
    records = [
        QualityRecord(request="a", score=0.5, scorer="s", scored_at=moment)
        for moment in (NOON + DAY - MICROSECOND, NOON + DAY)
    ]
    async with log.write() as session:
        result = await store_quality(session, records)
        assert result.outcomes == [Outcome.ADDED] * 2
        of_days = select(Request.created_at).join(QualityScore, QualityScore.request_id == Request.id)
        assert set(await session.scalars(of_days)) == {NOON, NOON + DAY}
        early = QualityRecord(request="b", score=0.5, scorer="s", scored_at=NOON)
        [problem] = (await store_quality(session, [early])).outcomes
    assert isinstance(problem, FieldProblem)
    assert problem.reason.startswith("before the request")


async def test_an_id_of_a_cold_day_is_new_on_another(log: Database, tmp_path: Path) -> None:
    """Also if both days come in one post."""
    pytest.importorskip("duckdb", reason="cold days need the extra `archive`")
    cold = Database(log.url.render_as_string(hide_password=False), cold_files=ColdFiles(str(tmp_path)))
    await add(cold, asked("a", NOON - 9 * DAY), asked("b", NOON - 8 * DAY))
    await move_days(cold, before=TODAY - 7 * DAY)
    assert await days(cold) == set()
    assert await add(cold, asked("a", NOON - 8 * DAY), asked("a", NOON - 9 * DAY)) == {"a"}
    assert await days(cold) == {partition_of(TODAY - 8 * DAY)}
    await cold.close()


async def test_doctor_compares_the_days_with_the_locks(log: Database) -> None:
    """Before looks into all days at once take more than there are."""
    async with log.write() as session:
        await make_partitions(session, [TODAY + n * DAY for n in range(3)])
    assert (await check_days(log)).level is Level.OK
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "LOCKS_A_DAY", 10_000)
        finding = await check_days(log)
    assert finding.level is Level.PROBLEM
    assert "max_locks_per_transaction" in finding.fix
