"""Days are moved whole, once, and only after they were read back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from api.ingest.store.transaction import commit
from models import ColdDay, ColdState, Request, RequestRollup
from models.database import Database
from models.errors import ColdDayUnreadable, DatabaseError
from models.request_log import NewRequest, append
from models.request_log.cold import ColdFiles, log_rows, moving
from models.request_log.cold.moving import differing_days, move_days
from models.request_log.recount import check_day, days_of
from tests.support import cold_process
from tests.support.command_line import program
from tests.support.prepared_databases import STORY_ANCHOR

pytest.importorskip("duckdb", reason="cold days need the extra `archive`")

BEFORE = STORY_ANCHOR - timedelta(days=5)
EVERY = select(Request.id, Request.created_at, *(c for c in Request.__table__.c if c.name != "created_at"))


@pytest.fixture
async def cold(story_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The demo story, with a place for cold days."""
    database = Database(story_url, cold_files=ColdFiles(str(tmp_path / "cold")))
    yield database
    await database.close()


async def every_request(database: Database) -> list[Any]:
    async with database.read() as session:
        return await log_rows(session, EVERY)


async def in_database(database: Database) -> int:
    async with database.read() as session:
        old = select(func.count()).where(Request.created_at < BEFORE.replace(hour=0, minute=0))
        return await session.scalar(old) or 0


async def again(database: Database, rows: list[Any], **changes: Any) -> dict[str, int]:
    """Append requests as they were sent once."""
    names = NewRequest.__dataclass_fields__.keys() - {"cost_usd"}
    sent = [NewRequest(**{name: getattr(row, name) for name in names}) for row in rows]
    changed = [replace(one, **changes) for one in sent]
    return await commit(database, lambda session: append(session, changed))


@pytest.mark.both_databases
async def test_a_moved_day_is_read_as_it_was_and_counted_once(cold: Database) -> None:
    """All columns are equal, rollups agree with the log, what is sent again is neither stored nor counted."""
    before = await every_request(cold)
    moved = await move_days(cold, before=BEFORE)
    assert await every_request(cold) == before
    assert await in_database(cold) == 0 < sum(one.rows for one in moved)
    old = [row for row in before if row.created_at < moved[-1].day]
    assert len(await again(cold, old[:50])) == 0
    late = await again(cold, old[:1], public_id="late")
    assert late["late"] > max(row.id for row in before)
    async with cold.read() as session:
        days = [day for day in await days_of(session) if day <= moved[-1].day]
        checks = [await check_day(session, day) for day in days]
        total = select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == "hour")
        assert await session.scalar(total) == len(before) + 1
    assert [bucket for check in checks for bucket in check.differing] == []
    assert not any(check.missing for check in checks)
    [further] = await move_days(cold, before=BEFORE)
    assert further.day <= old[0].created_at < further.day + timedelta(days=1)
    assert further.rows == 1
    assert len(await every_request(cold)) == len(before) + 1
    assert [one async for one in differing_days(cold)] == []


@pytest.mark.both_databases
async def test_requests_that_are_sent_again_while_their_day_is_moved_are_not_stored(cold: Database) -> None:
    """Before, during and after it, by writers that do not wait for the mover to end."""
    before = await every_request(cold)
    mover = asyncio.create_task(move_days(cold, before=BEFORE))
    added: dict[str, int] = {}
    while not mover.done():
        added |= await again(cold, before[-40:])
    await mover
    assert added | await again(cold, before[-40:]) == {}
    assert await every_request(cold) == before


async def test_ids_of_moved_requests_are_not_given_again(cold: Database) -> None:
    """Scores and examples name requests by id, also where the newest rows of the table are gone."""
    await move_days(cold, before=STORY_ANCHOR + timedelta(days=2))
    before = await every_request(cold)
    new = await again(cold, before[:1], public_id="new", created_at=STORY_ANCHOR + timedelta(days=3))
    assert new["new"] > max(row.id for row in before)


async def test_a_request_of_a_day_whose_file_is_missing_is_refused(cold: Database, tmp_path: Path) -> None:
    """Whether it is there cannot be known, and counted twice it would be wrong for good; newer ones go in."""
    before = await every_request(cold)
    [first, *_] = await move_days(cold, before=BEFORE)
    (tmp_path / "cold" / first.path).unlink()
    with pytest.raises(ColdDayUnreadable, match=first.path):
        await again(cold, before[-1:])
    assert await again(cold, before[:1], public_id="new")


STEPS = ["_convert", "_settle", "1", "2", "3", "4"]
"""The transactions store the first file, delete its rows in two, and say that they are gone."""


@pytest.mark.process
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_nothing_is_lost_or_twice(
    cold: Database, repository: Path, tmp_path: Path, step: str
) -> None:
    """Readers see each request once after the kill, and after the next run, which ends the work."""
    before = await every_request(cold)
    arguments = cold.url.render_as_string(hide_password=False), str(tmp_path / "cold"), BEFORE.isoformat()
    process = await asyncio.create_subprocess_exec(
        *program(f"from {cold_process.__name__} import main; main()"), *arguments, step, cwd=repository
    )
    assert await process.wait() == -signal.SIGKILL
    assert await in_database(cold) > 0
    assert await every_request(cold) == before
    await move_days(cold, before=BEFORE)
    assert await in_database(cold) == 0
    assert await every_request(cold) == before
    async with cold.read() as session:
        days = (await session.scalars(select(ColdDay))).all()
    assert {one.state for one in days} == {ColdState.COLD}
    assert len({one.day for one in days}) == len(days)
    named = await asyncio.to_thread(lambda: {path.name for path in (tmp_path / "cold").iterdir()})
    assert named >= {one.path for one in days}
    assert not any(name.startswith(".moving") for name in named)


async def test_a_day_that_is_not_read_back_as_it_was_stays(
    cold: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that differs from the rows, if only in one of them, gets no name, and no row is deleted."""
    before = await in_database(cold)
    convert = moving._convert

    def careless(cursor: Any, lines: Path, target: str) -> None:
        kept = lines.read_bytes().replace(b'"success"', b'"timeout"', 1)
        lines.write_bytes(kept)
        convert(cursor, lines, target)

    monkeypatch.setattr(moving, "_convert", careless)
    with pytest.raises(ColdDayUnreadable, match="does not hold the rows that were written to it"):
        await move_days(cold, before=BEFORE)
    assert await in_database(cold) == before


async def test_one_process_moves_days_at_a_time(cold: Database) -> None:
    """A second one is refused at once, and the first goes on."""
    async with moving.alone(cold):
        with pytest.raises(DatabaseError, match="another process is moving or removing days"):
            await move_days(cold, before=BEFORE)
    assert await move_days(cold, before=BEFORE)
