"""`arcpoint keys`: API keys, made and revoked in the database itself, so that no service need run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

import typer

from api.access.keys import KeyEntry, KeyRequest, NewKey, create_key, list_keys, revoke_key, rotate_key
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import print_error, say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.http.json_body import to_document
from api.services import open_database
from api.settings import load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_time
from models import Role
from models.database import WriteSession

_SPAN = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_MAX_RATE = 1_000_000

app = typer.Typer(no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="KEY", help="Beginning of the key, such as arc_3f9a0c12b4de.")]


def _span(value: str | timedelta) -> timedelta:
    """Parse a span of time."""
    if isinstance(value, timedelta):
        return value
    found = _SPAN.fullmatch(value)
    if found is None:
        raise typer.BadParameter(f"{value!s:.40} is no span of time; give one such as 30m, 24h or 90d")
    return int(found[1]) * _UNITS[found[2]]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for; it need not be unique.")],
    *,
    role: Annotated[
        Role,
        typer.Option(help="viewer: ask and read; operator: also write and approve; ingest: send telemetry."),
    ],
    user: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Show only this user's data; for viewers.", show_default=False),
    ] = None,
    expires: Annotated[
        timedelta | None,
        typer.Option(metavar="SPAN", parser=_span, help="When it ends: 30m, 24h or 90d.", show_default=False),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MAX_RATE, metavar="N", help="Requests a minute in one worker.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and show it this once. When there is one, every caller needs one, also on this machine."""
    now = utc_now()
    wanted = KeyRequest(
        name=name,
        role=role,
        user=user,
        expires_at=None if expires is None else now + expires,
        rate_per_minute=rate,
    )

    async def run() -> NewKey:
        async with _writing() as session:
            return await create_key(session, wanted, now=now)

    _show_new(asyncio.run(run()), as_json=as_json)


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all keys there ever were, without their secrets."""

    async def run() -> list[KeyEntry]:
        async with open_database(load_settings()) as database, database.read() as session:
            return await list_keys(session, now=utc_now())

    entries = asyncio.run(run())
    if as_json:
        say_json([to_document(entry) for entry in entries])
        return
    if not entries:
        say("there is no key: every program on this machine may do everything")
        return
    columns = ("key", "name", "role", "user", "state", "created", "expires", "last used", "a minute")
    say("\n".join(plain_lines(TextTable(title="Keys", rows=tuple(map(_row, entries)), columns=columns))))


@app.command()
def revoke(which: Which) -> None:
    """Revoke a key: from now on no worker serves a request with it."""

    async def run() -> KeyEntry:
        async with _writing() as session:
            return await revoke_key(session, which, now=utc_now())

    entry = asyncio.run(run())
    say(f"{entry.prefix} ({entry.name}) is revoked")


@app.command()
def rotate(
    which: Which,
    *,
    grace: Annotated[
        timedelta,
        typer.Option(metavar="SPAN", parser=_span, help="How long the old key still works: 30m, 24h or 90d."),
    ] = timedelta(0),
    as_json: AsJson = False,
) -> None:
    """Replace a key by one with the same rights, shown this once; the old one ends after --grace."""

    async def run() -> NewKey:
        async with _writing() as session:
            return await rotate_key(session, which, grace=grace, now=utc_now())

    _show_new(asyncio.run(run()), as_json=as_json)


@asynccontextmanager
async def _writing() -> AsyncIterator[WriteSession]:
    async with open_database(load_settings()) as database, database.write() as session:
        yield session


def _show_new(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        say_json(to_document(made.entry) | {"key": made.secret})
        return
    say(made.secret)
    bound = f", bound to the user {made.entry.user}" if made.entry.user else ""
    print_error(f"{made.entry.name}: {made.entry.role}{bound}; keep the key, it is not shown again")


def _row(entry: KeyEntry) -> tuple[str, ...]:
    moments = (entry.created_at, entry.expires_at, entry.last_used_at)
    created, expires, used = ("" if moment is None else format_time(moment) for moment in moments)
    rate = "" if entry.rate_per_minute is None else f"{entry.rate_per_minute:,}"
    return entry.prefix, entry.name, entry.role, entry.user or "", entry.state, created, expires, used, rate
