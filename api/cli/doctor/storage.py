"""Database and memory: reachable, of this version, in step, and of one time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from api.cli.doctor.finding import Finding, ok, problem, warning
from api.cli.doctor.service import Running
from api.embedders import make_embedder
from api.redaction import make_redaction
from api.services import open_memory
from api.settings import Settings, SettingsError
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from memory.entries.outbox import backlog
from memory.errors import MemoryUnavailable
from models.audit_guards import missing_audit_guards
from models.database import HEAD_REVISION, Database
from models.errors import ColdDayUnreadable, DatabaseError
from models.request_log.cold import ColdFiles
from models.tables.gateway.cold_days import ColdDay

_MAX_SKEW = timedelta(seconds=5)
_MAX_BACKLOG_AGE = timedelta(minutes=5)
_MEMORY_FIX = "do what the message says; `arcpoint memory status` shows more"
LOCKS_A_DAY = 7
"""A partition and its indexes."""
_LOOKS_AT_ONCE = 8
_DAYS_AND_LOCKS = """
SELECT (SELECT count(*) FROM pg_inherits WHERE inhparent = 'requests'::regclass),
    current_setting('max_locks_per_transaction')::bigint
    * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
"""
_MIN_FOUND = 0.95
"""Share of sampled rows of the index that must find themselves."""


async def check_database(database: Database) -> Finding:
    """Report whether the database answers, and has the schema of this version."""
    try:
        await database.require_revision(HEAD_REVISION)
    except DatabaseError as error:
        fix = "run `arcpoint db upgrade`, or correct ARCPOINT_DATABASE_URL"
        return problem("database", str(error), fix)
    return ok("database", f"{database.shown_url} has schema {HEAD_REVISION}, which this version needs")


async def check_days(database: Database) -> Finding:
    """Report whether PostgreSQL has locks enough for looks into every day of the log."""
    if database.is_sqlite:
        return ok("days", "the log is one table")
    async with database.read() as session:
        days, locks = (await session.execute(text(_DAYS_AND_LOCKS))).one()
    taken = days * LOCKS_A_DAY
    said = f"{format_count(days, 'day')} of the log; a look into all takes {taken:,} of {locks:,} locks"
    if taken * _LOOKS_AT_ONCE > locks:
        fix = "raise PostgreSQL's max_locks_per_transaction, or see `arcpoint db cold` and `db drop`"
        return problem("days", said, fix)
    return ok("days", said)


async def check_audit(database: Database) -> Finding:
    """Report whether the database still refuses to change the audit trail."""
    async with database.read() as session:
        missing = await missing_audit_guards(session)
    if missing:
        fix = (
            "run `arcpoint audit verify`, find out who did it, "
            "and create them again as alembic/versions/0012_audit.py does"
        )
        text = f"entries can be changed: no trigger {' and no '.join(missing)}"
        return problem("audit trail", text, fix)
    return ok("audit trail", "the database refuses to change what is written")


async def check_cold_days(settings: Settings, database: Database) -> Finding:
    """Report whether the place of cold days can be used, if there are any or will be."""
    files = ColdFiles(settings.cold_path, endpoint=settings.cold_endpoint)
    async with database.read() as session:
        newest = await session.scalar(select(ColdDay.path).order_by(ColdDay.day.desc()).limit(1))
    if newest is None and not settings.cold_after_d:
        return ok("cold days", "none, and none are moved by a service")
    try:
        if newest is None:
            await files.run(lambda cursor: cursor.execute("SELECT 1"))
            return ok("cold days", f"none yet in {settings.cold_path}")
        await files.rows([newest], lambda source: f"SELECT count(*) FROM {source}")  # noqa: S608
    except ColdDayUnreadable as error:
        return problem("cold days", str(error), "do what the message says; docs/databases.md has more")
    return ok("cold days", f"the newest in {settings.cold_path} can be read")


async def check_clock(database: Database) -> Finding:
    """Compare the clock of this machine with that of the database server."""
    if database.is_sqlite:
        return ok("clock", f"{utc_now():%Y-%m-%d %H:%M:%S} UTC; SQLite has no other")
    before = utc_now()
    async with database.read() as session:
        there: datetime = (await session.scalars(select(func.clock_timestamp()))).one()
    skew = there.astimezone(UTC) - before - (utc_now() - before) / 2
    direction = "ahead" if skew > timedelta(0) else "behind"
    text = f"the database server is {abs(skew.total_seconds()):.1f} s {direction}"
    if abs(skew) > _MAX_SKEW:
        return problem("clock", text, "let both machines follow NTP: windows and ages are wrong by as much")
    return ok("clock", text)


async def check_memory(
    settings: Settings, database: Database, running: Running | None
) -> AsyncIterator[Finding]:
    """Report whether memory follows the database, and whether it can be searched."""
    async with database.read() as session:
        waiting = await backlog(session)
    age = utc_now() - waiting.since if waiting.since else timedelta(0)
    rows = format_count(waiting.rows, "change")
    if age > _MAX_BACKLOG_AGE:
        fix = "run `arcpoint memory sync`, or `arcpoint serve`, which does it all the time"
        yield warning(
            "outbox", f"{rows} wait for memory, the oldest since {waiting.since:%Y-%m-%d %H:%M}", fix
        )
    else:
        yield ok("outbox", f"{rows} wait for memory")
    if running is not None and settings.memory_url is None:
        # The folder belongs to the service, which says how it is.
        for part in ("memory", "embedder"):
            status, reason = running.part(part)
            yield (
                ok(part, f"{status} in the service") if status == "ok" else problem(part, reason, _MEMORY_FIX)
            )
        return
    async for finding in _opened_memory(settings, database):
        yield finding


async def _opened_memory(settings: Settings, database: Database) -> AsyncIterator[Finding]:
    try:
        embedder = await asyncio.to_thread(make_embedder, settings)
        await embedder.load()
        yield ok("embedder", f"{embedder.model_id} loads")
        redaction = await asyncio.to_thread(make_redaction, settings)
        async with open_memory(settings, database, embedder, redaction=redaction) as memory:
            status = await memory.status()
    except (MemoryUnavailable, SettingsError, DatabaseError, SQLAlchemyError, OSError) as error:
        yield problem("memory", str(error).partition("\n")[0], _MEMORY_FIX)
        return
    if status.unavailable is not None:
        yield problem("memory", status.unavailable, _MEMORY_FIX)
    elif status.lag:
        text = f"{format_count(status.lag, 'resolved incident')} cannot be recalled yet"
        yield warning("memory", text, "run `arcpoint memory sync`, or `arcpoint serve`")
    elif status.self_hit_rate is not None and status.self_hit_rate < _MIN_FOUND:
        text = f"only {status.self_hit_rate:.0%} of a sample of the index can be found"
        yield warning("memory", text, "run `arcpoint memory rebuild`")
    else:
        yield ok("memory", f"in step, with {format_count(status.entries, 'incident')}")
