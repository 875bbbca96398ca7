"""The audit trail in the database: one chain, however many write, that nobody can change by a statement."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from api.audit.verification import EMPTY, Anchor, Fault, head, verify_database
from models import AuditEntry
from models.audit_chain import Act, Actor, AuditRecord
from models.audit_guards import missing_audit_guards
from models.database import Database
from tests.support.auditing_process import started, write_at_once
from tests.support.patience import PATIENCE_S

TRANSACTIONS = 24
ENTRIES = sum(1 + number % 3 for number in range(TRANSACTIONS))


async def write(database: Database, *subjects: str) -> None:
    act = Act(lambda: Actor("key:ci\n\x00", 7))
    async with database.write() as session:
        session.audited += [
            AuditRecord(action="approve", subject=each, detail={"changed": True, "by": "\ud800"}, act=act)
            for each in subjects
        ]


@pytest.mark.both_databases
@pytest.mark.process
async def test_processes_that_write_at_once_make_one_chain(database: Database, database_url: str) -> None:
    """Two processes and this one append at the same time: no gap, no fork, nothing lost."""
    others = [started(database_url, name, TRANSACTIONS) for name in ("a", "b")]
    await write_at_once(database_url, "c", TRANSACTIONS)
    for process in others:
        await asyncio.to_thread(process.join, PATIENCE_S)
        assert process.exitcode == 0
    verdict = await verify_database(database)
    assert (verdict.entries, verdict.broken) == (3 * ENTRIES, None)
    assert verdict.end == await head(database)


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET caller = 'nobody' WHERE sequence = 2",
        "DELETE FROM audit_entries WHERE sequence = 3",
        "INSERT INTO audit_entries SELECT {columns} FROM audit_entries WHERE sequence = 1",
        "INSERT INTO audit_entries SELECT sequence + 3, {rest} FROM audit_entries WHERE sequence = 1",
        "INSERT INTO audit_entries SELECT sequence + 2, {rest} FROM audit_entries WHERE sequence = 3",
    ],
    ids=["update", "delete", "again", "forks", "gap"],
)
async def test_no_statement_changes_the_chain(database: Database, statement: str) -> None:
    """The database refuses to change and to remove an entry, and to add one that does not follow the last."""
    await write(database, "one", "two", "three")
    names = [column.name for column in AuditEntry.__table__.columns]
    statement = statement.format(columns=", ".join(names), rest=", ".join(names[1:]))
    tries = [statement]
    if database.is_sqlite:
        tries.append(statement.replace("INSERT", "INSERT OR REPLACE"))
    elif "DELETE" in statement:
        tries.append("TRUNCATE audit_entries")
    for each in tries:
        with pytest.raises(DBAPIError, match=r"audit entr"):
            async with database.write() as session:
                await session.execute(text(each))
    assert (await verify_database(database)).entries == 3


@pytest.mark.both_databases
async def test_an_entry_is_there_if_and_only_if_its_action_is(database: Database) -> None:
    """An action that is rolled back leaves neither entry nor gap; its act is not recorded."""
    await write(database, "one")
    act = Act()

    async def broken_off() -> None:
        async with database.write() as session:
            session.audited.append(AuditRecord(action="approve", subject="two", act=act))
            raise LookupError

    with pytest.raises(LookupError):
        await broken_off()
    assert not act.is_recorded
    await write(database, "three")
    async with database.read() as session:
        entries = list(await session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)))
    assert [(each.sequence, each.subject) for each in entries] == [(1, "one"), (2, "three")]
    assert (entries[0].caller, entries[0].key_id) == ("key:ci??", 7)
    assert entries[0].detail == '{"by":"\\ud800","changed":true}'
    assert (await verify_database(database)).broken is None


@pytest.mark.both_databases
async def test_what_is_cut_off_is_seen_with_an_anchor_only(database: Database) -> None:
    """Without one the rest is a good chain; with one the end is missing, or is not the one that was there."""
    assert await head(database) == EMPTY
    await write(database, "one", "two", "three")
    anchor = await head(database)
    await write(database, "four")
    verdict = await verify_database(database, Anchor.parse(f"{anchor}\n"))
    assert (verdict.entries, verdict.end.sequence, verdict.broken) == (1, 4, None)
    await without_triggers(database, "DELETE FROM audit_entries WHERE sequence > 2")
    assert (await verify_database(database)).broken is None
    cut = await verify_database(database, anchor)
    assert cut.broken is not None
    assert (cut.broken.sequence, cut.broken.fault) == (3, Fault.MISSING)
    await write(database, "another")
    rewritten = await verify_database(database, anchor)
    assert rewritten.broken is not None
    assert (rewritten.broken.sequence, rewritten.broken.fault) == (3, Fault.ALTERED)


@pytest.mark.both_databases
async def test_a_trigger_that_is_gone_or_switched_off_is_missed(database: Database) -> None:
    """What an owner does before a change is seen while it lasts: `arcpoint doctor` says so."""
    switch = "ALTER TABLE audit_entries {} TRIGGER check_audit_entry"
    off = "DROP TRIGGER check_audit_entry" if database.is_sqlite else switch.format("DISABLE")
    async with database.write() as session:
        assert await missing_audit_guards(session) == []
        await session.execute(text(off))
        assert await missing_audit_guards(session) == ["check_audit_entry"]
        await session.rollback()
    async with database.read() as session:
        assert await missing_audit_guards(session) == []


async def without_triggers(database: Database, statement: str) -> None:
    """What somebody who owns the database can do."""
    async with database.write() as session:
        if database.is_sqlite:
            found = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
            triggers = (await session.execute(found, {"table": "audit_entries"})).all()
            for name, _ in triggers:
                await session.execute(text(f"DROP TRIGGER {name}"))
            await session.execute(text(statement))
            for _, sql in triggers:
                await session.execute(text(sql))
        else:
            await session.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER ALL"))
            await session.execute(text(statement))
            await session.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER ALL"))
        await session.execute(select(func.count()).select_from(AuditEntry))
