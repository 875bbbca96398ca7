"""`arcpoint memory approve` and `reject`: a reviewer decides what memory may recall."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated

import typer

from api.cli.failure import BAD_INPUT
from api.cli.terminal.streams import print_error, say
from api.services import open_database
from api.settings import load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from memory.maintenance import reviews
from memory.maintenance.reviews import Review

app = typer.Typer()

Incidents = Annotated[list[str], typer.Argument(metavar="INCIDENT...", help="Public ids of incidents.")]
By = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Name of the reviewer, by default your login name.", show_default=False
    ),
]
Decide = Callable[..., Awaitable[tuple[Review, ...]]]


@app.command()
def approve(incidents: Incidents, by: By = None) -> None:
    """Let memory recall incidents and their postmortems; all of them, or none."""
    _decide(reviews.approve, "approved", incidents, by)


@app.command()
def reject(incidents: Incidents, by: By = None) -> None:
    """Keep incidents and their postmortems out of memory; all of them, or none."""
    _decide(reviews.reject, "rejected", incidents, by)


def _decide(decide: Decide, done: str, incidents: Sequence[str], by: str | None) -> None:
    reviewer = by if by is not None else login_name()
    if reviewer is None:
        print_error("your login name is unknown; name the reviewer with --by NAME")
        raise typer.Exit(BAD_INPUT)
    found = asyncio.run(_run(decide, incidents, reviewer, utc_now()))
    for review in found:
        if review.changed:
            say(f"{review.public_id}  {done}{' with its postmortem' if review.has_postmortem else ''}")
        else:
            say(f"{review.public_id}  already {done}")
    changed = sum(review.changed for review in found)
    if changed:
        decided = f"{format_count(changed, 'incident')} {done} by {reviewer}"
        say(f"{decided}; a running service picks this up, or run `arcpoint memory sync`")


async def _run(decide: Decide, incidents: Sequence[str], by: str, at: datetime) -> tuple[Review, ...]:
    async with open_database(load_settings()) as database:
        return await decide(database, *incidents, by=by, at=at)


def login_name() -> str | None:
    """Return the login name of the caller; None if there is none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
