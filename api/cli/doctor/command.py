"""The command: runs every check, and shows what each found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

import typer

from api.cli.doctor.finding import Finding, Level, problem
from api.cli.doctor.machine import check_disks, check_egress, check_settings
from api.cli.doctor.model import check_call, check_model
from api.cli.doctor.service import Running, check_service, running_service
from api.cli.doctor.storage import (
    check_audit,
    check_clock,
    check_cold_days,
    check_database,
    check_days,
    check_memory,
)
from api.cli.doctor.ways import check_rejects, check_ways
from api.cli.failure import EXIT_FAILURE
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.settings import Settings, SettingsError, load_settings
from models.database import Database
from models.errors import DatabaseError

Call = Annotated[bool, typer.Option("--call", help="Make one small model call, which is paid for.")]


def doctor(*, call: Call = False, as_json: AsJson = False) -> None:
    """Check settings, database, memory, model, clock, disks, ways in and the running service.

    Changes nothing, and calls no model unless asked to. Exits with 1 if there is a problem.
    """
    findings = asyncio.run(examined(call=call))
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.level:<8} {finding.check}: {finding.text}")
            if finding.fix:
                say(f"         -> {finding.fix}")
        counts = [sum(each.level is level for each in findings) for level in Level]
        say(f"{counts[2]} problems, {counts[1]} warnings, {counts[0]} well")
    if any(finding.level is Level.PROBLEM for finding in findings):
        raise typer.Exit(EXIT_FAILURE)


async def examined(*, call: bool) -> list[Finding]:
    """Return what all checks find; without usable settings there is nothing else to check."""
    try:
        settings = await asyncio.to_thread(load_settings)
    except SettingsError as error:
        fix = "set the variable to what the message says, or unset it; docs/settings.md lists all"
        return [problem("settings", str(error), fix)]
    return [finding async for finding in _all(settings, call=call)]


async def _all(settings: Settings, *, call: bool) -> AsyncIterator[Finding]:
    yield await asyncio.to_thread(check_settings, settings)
    running = await running_service(settings)
    # Read-only, whatever the settings allow: nothing is created by looking.
    reading = settings.model_copy(update={"read_only": True})
    try:
        database = Database(settings.database_url, read_only=True)
    except DatabaseError as error:
        yield problem("database", str(error), "set ARCPOINT_DATABASE_URL as docs/databases.md says")
    else:
        try:
            async for finding in _of_database(reading, database, running):
                yield finding
        finally:
            await database.close()
    for finding in await asyncio.to_thread(check_model, settings):
        yield finding
    if call:
        yield await check_call(settings)
    for finding in await asyncio.to_thread(check_disks, settings):
        yield finding
    yield check_egress(settings)
    for finding in check_service(settings, running):
        yield finding


async def _of_database(
    settings: Settings, database: Database, running: Running | None
) -> AsyncIterator[Finding]:
    """Yield what needs a database; nothing but the reason if it cannot be used."""
    reachable = await check_database(database)
    yield reachable
    if reachable.level is Level.PROBLEM:
        return
    yield await check_days(database)
    yield await check_audit(database)
    yield await check_cold_days(settings, database)
    yield await check_clock(database)
    async for finding in check_memory(settings, database, running):
        yield finding
    async for finding in check_ways(database):
        yield finding
    async for finding in check_rejects(database):
        yield finding
