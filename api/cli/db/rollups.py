"""`arcpoint db rollups`: compares the rollups with the request log, and makes them right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from api.cli.failure import EXIT_FAILURE
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import say
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.text.formatting import format_count
from models.database import Database
from models.errors import LogIncomplete
from models.request_log.recount import DayCheck, check_day, days_of, rebuild_day

MAX_SHOWN = 10
"""Differing buckets of a day that are listed."""


def rollups(
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare only; exit with 1 if a bucket differs.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Count the days that differ again, each in one transaction.")
    ] = False,
) -> None:
    """Compare rollups with the requests that they were counted from, a day at a time.

    A day can be rebuilt while all its requests are in the log: where some were removed since, the rollups
    alone know of them, and stay as they are. If it is interrupted, running it again continues.
    """
    if verify == rebuild:
        raise typer.BadParameter("say either --verify or --rebuild")
    work = _rebuild if rebuild else _verify
    if not asyncio.run(work(load_settings())):
        raise typer.Exit(EXIT_FAILURE)


async def _verify(settings: Settings) -> bool:
    """Print what differs; return whether nothing does."""
    differing = 0
    async with open_database(settings) as database:
        with progress_bar("comparing days") as progress:
            days = await _days(database)
            for done, day in enumerate(days, start=1):
                async with database.read() as session:
                    check = await check_day(session, day)
                progress(done, len(days))
                differing += bool(check.differing and not check.missing)
                for line in _lines(check):
                    say(line)
    say(
        f"{format_count(len(days), 'day')} compared, {differing:,} with rollups that are not those of the log"
    )
    return not differing


async def _rebuild(settings: Settings) -> bool:
    """Rebuild the days that differ; return whether all of them could be."""
    rebuilt, refused = 0, 0
    async with open_database(settings) as database:
        with progress_bar("comparing days") as progress:
            days = await _days(database)
            for done, day in enumerate(days, start=1):
                try:
                    if await rebuild_day(database, day):
                        rebuilt += 1
                        say(f"{day:%Y-%m-%d}: rebuilt")
                except LogIncomplete as error:
                    refused += 1
                    say(str(error))
                progress(done, len(days))
    say(f"{format_count(len(days), 'day')} compared, {rebuilt:,} rebuilt, {refused:,} that cannot be")
    return not refused


async def _days(database: Database) -> Sequence[datetime]:
    async with database.read() as session:
        return await days_of(session)


def _lines(check: DayCheck) -> Sequence[str]:
    day = f"{check.day:%Y-%m-%d}"
    if check.missing:
        gone = f"{check.missing:,} of {check.counted:,} requests"
        return [f"{day}: not comparable, {gone} are not in the log any more"]
    if not check.differing:
        return []
    more = len(check.differing) - MAX_SHOWN
    shown = [f"  {bucket}" for bucket in check.differing[:MAX_SHOWN]]
    return [
        f"{day}: {format_count(len(check.differing), 'bucket')} differ",
        *shown,
        *([f"  and {more:,} more"] if more > 0 else []),
    ]
