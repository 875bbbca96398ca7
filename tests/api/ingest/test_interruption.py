"""A load that is killed or cancelled leaves whole batches, and running it again ends as a clean run would."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from api.ingest import IngestSummary, LoadStopped, Progress, RequestRecord, ingest_file, load_mapping
from models import Request, RequestRollup, Resolution
from models.database import Database
from tests.support.command_line import program

pytestmark = pytest.mark.both_databases  # conflicts and locks differ

WriteFile = Callable[..., Path]
Line = Callable[..., str]
Load = Callable[..., Awaitable[IngestSummary]]
Contents = Callable[[Database], Awaitable[dict[str, list[tuple[Any, ...]]]]]

ROWS = 3000

CHILD = """
import asyncio, sys
from pathlib import Path
from api.ingest import RequestRecord, ingest_file, load_mapping
from models.database import Database

def report(progress):
    print(progress.summary.stored, flush=True)

asyncio.run(ingest_file(
    Database(sys.argv[1]), Path(sys.argv[2]), load_mapping(RequestRecord),
    rejects=Path(sys.argv[3]), progress=report, rows_per_batch=50,
))
"""


@pytest.fixture
def log(write_log: WriteFile, request_line: Line) -> Path:
    return write_log(*(request_line(number % 2500) for number in range(ROWS)))


async def counted(database: Database) -> tuple[int, int]:
    """Requests in the log, and in the rollups."""
    async with database.write() as session:
        raw = await session.scalar(select(func.count()).select_from(Request))
        hourly = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
        return raw or 0, await session.scalar(hourly) or 0


@pytest.mark.process
async def test_killed_half_way_and_run_again_equals_a_clean_run(
    database_url: str, database: Database, log: Path, load: Load, contents: Contents, rejects: Path,
    copied_database: Database,
) -> None:  # fmt: skip
    """SIGKILL in the middle: whole batches are there, the second run adds exactly the rest."""
    arguments = [*program(CHILD), database_url, str(log), str(rejects)]
    child = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    assert child.stdout is not None
    while int(await child.stdout.readline()) < 500:
        pass
    child.send_signal(signal.SIGKILL)
    await child.communicate()  # its pipe would stay open if the end of the process came first

    raw, rolled_up = await counted(database)
    assert 500 <= raw < ROWS
    assert raw % 50 == 0
    assert rolled_up == raw
    summary = await load(log)
    assert (summary.added, summary.already_present) == (ROWS - raw, raw)
    await ingest_file(copied_database, log, load_mapping(RequestRecord))
    assert await contents(database) == await contents(copied_database)


async def test_cancelling_stops_after_whole_batches(
    database: Database, log: Path, load: Load, rejects: Path
) -> None:
    """What was reported as stored is stored, rejects so far are kept, and nothing stays open."""
    seen: list[int] = []
    half_way = asyncio.Event()

    def report(progress: Progress) -> None:
        seen.append(progress.summary.stored)
        if len(seen) == 3:
            half_way.set()

    task = asyncio.ensure_future(load(log, rejects=rejects, progress=report, rows_per_batch=50))
    await half_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    raw, rolled_up = await counted(database)
    assert raw == rolled_up
    assert seen[-1] <= raw < ROWS
    assert raw % 50 == 0
    assert (await load(log)).added == ROWS - raw


@pytest.mark.parametrize("statement", ["JOIN requests AS stored", "user_spend"])
@pytest.mark.parametrize("batches", [0, 4])
async def test_a_database_that_fails_on_the_way_ends_the_load_with_one_line(
    database: Database, log: Path, load: Load, contents: Contents, statement: str, batches: int
) -> None:
    """The error says how far the load came; nothing of the batch is stored, users and rollups included."""

    def fail(_connection: Any, _cursor: Any, executed: str, *_rest: Any) -> None:
        if statement in executed and len(seen) == batches:
            raise database.write_engine.dialect.loaded_dbapi.OperationalError("disk is full\nreally")

    seen: list[int] = []
    event.listen(database.write_engine.sync_engine, "before_cursor_execute", fail)
    stored = batches * 50
    with pytest.raises(LoadStopped, match=rf"after {stored} rows, {stored} of them .*disk is full") as error:
        await load(log, progress=lambda now: seen.append(now.summary.rows), rows_per_batch=50)
    assert "\n" not in str(error.value)
    event.remove(database.write_engine.sync_engine, "before_cursor_execute", fail)
    assert await counted(database) == (stored, stored)
    assert any((await contents(database)).values()) == (stored > 0)
    assert (await load(log)).added == ROWS - stored
