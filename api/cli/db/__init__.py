"""`arcpoint db`: creates, fills and inspects the database."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import func, select

from api.cli.db.cold import cold
from api.cli.db.drop import drop
from api.cli.db.rollups import rollups
from api.cli.failure import EXIT_FAILURE
from api.cli.options import EXAMPLE_TIME, AsJson, parse_time_option
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.demo_data import DemoDataSummary
from api.demo_data import seed as seed_database
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count, format_time
from models import (
    AuditEntry,
    AuditEvent,
    ConfigChange,
    Deployment,
    ErrorLog,
    HealthCheck,
    Incident,
    Job,
    MaintenanceWindow,
    MemoryEntry,
    Notification,
    Postmortem,
    QualityScore,
    Question,
    Request,
    RequestRollup,
    Resolution,
    StateTransition,
    User,
    UserAction,
)
from models.database import HEAD_REVISION, Database
from models.migrations import upgrade as migrate

app = typer.Typer(no_args_is_help=True)
app.command()(rollups)
app.command()(cold)
app.command()(drop)

_COUNTED = (
    Deployment, User, Incident, Postmortem, QualityScore, Job, ConfigChange, AuditEvent, StateTransition,
    HealthCheck, ErrorLog, Notification, MaintenanceWindow, UserAction, Question, MemoryEntry,
    AuditEntry,
)  # fmt: skip


@app.command()
def upgrade() -> None:
    """Create the database, or migrate it to the schema of this version."""
    asyncio.run(_upgrade(load_settings()))


@app.command()
def seed(
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the random numbers; each gives another week.")
    ] = 1,
    anchor: Annotated[
        datetime | None,
        typer.Option(
            metavar="ISO", parser=parse_time_option, help=f"End of the week, by default now: {EXAMPLE_TIME}."
        ),
    ] = None,
) -> None:
    """Fill an empty database with a week of example data."""
    summary = asyncio.run(_seed(load_settings(), seed, anchor or utc_now()))
    counts = summary.counts
    what = ", ".join(
        [
            format_count(counts["deployments"], "deployment"),
            format_count(counts["users"], "user"),
            format_count(counts["requests"], "request"),
            format_count(counts["incidents"], "incident"),
            format_count(counts["jobs"], "job"),
            format_count(counts["changes"], "config change"),
            format_count(counts["errors"], "error log line"),
        ]
    )
    until = f"one week, ending {format_time(summary.anchor)} UTC"
    say(f"{'written' if summary.written else 'already there'}: {what}, {until}")


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show which database is used, its schema and its row counts."""
    report = asyncio.run(_status(load_settings()))
    if as_json:
        say_json(report)
    else:
        for line in plain_lines(_table(report)):
            say(line)
    if report["schema"] != report["needed_schema"]:
        raise typer.Exit(EXIT_FAILURE)


async def _upgrade(settings: Settings) -> None:
    database = Database(settings.database_url, read_only=settings.read_only)
    try:
        before = await database.revision()
        with progress_bar("rewriting days") as progress:
            await migrate(database, progress)
        head = HEAD_REVISION
        change = "already at" if before == head else f"migrated from {before or 'nothing'} to"
        say(f"{database.shown_url}: {change} schema {head}")
    finally:
        await database.close()


async def _seed(settings: Settings, number: int, anchor: datetime) -> DemoDataSummary:
    async with open_database(settings) as database:
        with progress_bar("storing a week of records") as progress:
            return await seed_database(database, seed=number, anchor=anchor, progress=progress)


async def _status(settings: Settings) -> dict[str, Any]:
    database = Database(settings.database_url, read_only=settings.read_only)
    try:
        head = HEAD_REVISION
        revision = await database.revision()
        report: dict[str, Any] = {
            "url": database.shown_url,
            "schema": revision,
            "needed_schema": head,
        }
        if revision == head:
            report |= await _contents(database)
        return report
    finally:
        await database.close()


async def _contents(database: Database) -> dict[str, Any]:
    rows = {}
    async with database.read() as session:
        for table in _COUNTED:
            rows[table.__tablename__] = await session.scalar(select(func.count()).select_from(table)) or 0
        # The log can be far larger than its rollups, which count each request once per resolution.
        total = await session.scalar(
            select(func.sum(RequestRollup.requests)).where(RequestRollup.resolution == Resolution.HOUR)
        )
        rows[Request.__tablename__] = int(total or 0)
        newest = await session.scalar(select(func.max(Request.created_at)))
    return {"rows": rows, "newest_request": None if newest is None else newest.isoformat()}


def _table(report: dict[str, Any]) -> TextTable:
    schema, needed = report["schema"], report["needed_schema"]
    if schema == needed:
        state = f"{schema}, up to date"
    else:
        state = f"{schema or 'none'}, but this version needs {needed}; run `arcpoint db upgrade`"
    rows = [("schema", state)]
    rows += [(table.replace("_", " "), f"{number:,}") for table, number in report.get("rows", {}).items()]
    if "rows" in report:
        rows.append(("newest request", report["newest_request"] or "none"))
    return TextTable(title=report["url"], rows=tuple(rows))
