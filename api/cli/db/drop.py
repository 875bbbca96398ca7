"""`arcpoint db drop`: removes old days of the request log for good."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from api.cli.options import parse_age
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import say
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from models.request_log.retention import drop_days


def drop(
    *,
    older_than: Annotated[
        str, typer.Option(metavar="DAYS", callback=parse_age, help="Remove older days: 400d.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the requests of old days for good, also those in files; their rollups and scores stay.

    On PostgreSQL a day goes as a whole, without a wait for those who read or write. If it is interrupted,
    running it again continues.
    """
    if not yes:
        typer.confirm(
            f"Remove all requests that are older than {older_than[:-1]} days?", abort=True, err=True
        )
    asyncio.run(_drop(load_settings(), timedelta(days=int(older_than[:-1]))))


async def _drop(settings: Settings, age: timedelta) -> None:
    async with open_database(settings) as database:
        with progress_bar("removing days") as progress:
            days = await drop_days(database, before=utc_now() - age, progress=progress)
    until = f", the last {days[-1]:%Y-%m-%d}" if days else ""
    say(f"{format_count(len(days), 'day')} removed{until}")
