"""Entries without a transaction of their own: written soon, all of them, or counted."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from sqlalchemy import select

from api.audit.trail import AuditTrail
from api.audit.verification import verify_database
from models import AuditEntry
from models.audit_chain import AuditRecord
from models.database import Database
from tests.support.patience import PATIENCE_S


async def subjects(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(AuditEntry.subject).order_by(AuditEntry.sequence)))


async def test_what_waits_is_written_soon_and_the_rest_at_the_end(database: Database) -> None:
    """Every entry once, in order, also more than one transaction takes."""
    trail = AuditTrail(database, every_s=0.01)
    async with trail.writing():
        trail.put(AuditRecord(action="route", subject="0"))
        async with asyncio.timeout(PATIENCE_S):
            while await subjects(database) != ["0"]:  # noqa: ASYNC110  it comes from the database
                await asyncio.sleep(0.01)
        for number in range(1, 1_200):
            trail.put(AuditRecord(action="route", subject=str(number)))
    assert await subjects(database) == [str(number) for number in range(1_200)]
    assert (await verify_database(database)).broken is None


async def test_a_database_that_is_away_loses_nothing_without_a_trace(
    sqlite_template: Path, tmp_path: Path
) -> None:
    """Entries wait; what no longer fits is counted, and an entry says how many they were."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copyfile(sqlite_template, folder / "arcpoint.db")
    database = Database(f"sqlite:///{folder}/arcpoint.db")
    away = folder.rename(tmp_path / "away")
    trail = AuditTrail(database, every_s=0.01, max_waiting=3)
    async with trail.writing():
        for number in range(5):
            trail.put(AuditRecord(action="route", subject=str(number)))
        await asyncio.sleep(0.05)
        # In one step: a writer that finds neither would make a new file, and keep it open.
        away.rename(folder)
    async with database.read() as session:
        first = (await session.scalars(select(AuditEntry).order_by(AuditEntry.sequence))).first()
    assert first is not None
    assert (first.action, json.loads(first.detail)) == ("audit.lost", {"entries": 2})
    assert await subjects(database) == ["", "0", "1", "2"]
    await database.close()
