"""`arcpoint db cold`: moves closed days of the request log into files, and shows and checks them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import select

from api.cli.failure import EXIT_FAILURE
from api.cli.options import parse_age
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import say
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from models import ColdDay
from models.request_log.cold.moving import differing_days, move_days


def cold(
    *,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DAYS", callback=lambda value: value and parse_age(value), help="Move older days: 30d."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files; exit with 1 if one is not as it was written.")
    ] = False,
) -> None:
    """List the cold days: days of the request log in Parquet files; or move older ones there.

    A day is deleted from the database only after its file was read back and is equal. If that is interrupted,
    running it again continues. Questions and pages read both, rollups and scores stay in the database.
    """
    if older_than and verify:
        raise typer.BadParameter("say either --older-than or --verify")
    settings = load_settings()
    if older_than:
        asyncio.run(_move(settings, timedelta(days=int(older_than[:-1]))))
    elif not asyncio.run(_verify(settings) if verify else _list(settings)):
        raise typer.Exit(EXIT_FAILURE)


async def _move(settings: Settings, age: timedelta) -> None:
    async with open_database(settings) as database:
        with progress_bar("moving days") as progress:
            moved = await move_days(database, before=utc_now() - age, progress=progress)
    for one in moved:
        say(_line(one))
    say(f"{format_count(len(moved), 'day')} moved to {settings.cold_path}")


async def _list(settings: Settings) -> bool:
    async with open_database(settings) as database, database.read() as session:
        days = (await session.scalars(select(ColdDay).order_by(ColdDay.day, ColdDay.path))).all()
    for one in days:
        say(_line(one))
    say(f"{format_count(len(days), 'file')} of cold days in {settings.cold_path}")
    return True


async def _verify(settings: Settings) -> bool:
    """Print what is not as it was written; return whether nothing is."""
    async with open_database(settings) as database:
        with progress_bar("reading files") as progress:
            wrong = [(one, reason) async for one, reason in differing_days(database, progress)]
    for one, reason in wrong:
        say(f"{one.path}: {reason}")
    say(f"cold days in {settings.cold_path}: {format_count(len(wrong), 'file')} not as written")
    return not wrong


def _line(one: ColdDay) -> str:
    requests = format_count(one.rows, "request")
    return f"{one.day:%Y-%m-%d}: {requests}, {one.bytes:,} bytes, {one.state}, {one.path}"
