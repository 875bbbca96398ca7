"""`arcpoint proxy learned` and `forget`: what replies used of inserted facts."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from api.cli.failure import BAD_INPUT
from api.cli.terminal.streams import print_error, say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.proxy.rewriting.learning import LearnedKind, Learning
from api.proxy.rewriting.turn_store import TurnStore
from api.services import open_database
from api.settings import load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count

app = typer.Typer()


@app.command()
def learned() -> None:
    """Show which kinds of facts replies used, and the weight that each has in later conversations."""
    kinds = asyncio.run(_learned())
    rows = tuple((each.kind, f"{each.shown:,}", f"{each.used:,}", f"{each.weight:.2f}") for each in kinds)
    title = "facts inserted, and used by replies" if rows else "nothing is learnt yet"
    table = TextTable(title=title, columns=("kind", "shown", "used", "weight") if rows else (), rows=rows)
    for line in plain_lines(table):
        say(line)


async def _learned() -> list[LearnedKind]:
    async with open_database(load_settings()) as database:
        return await Learning(database).learned()


@app.command()
def forget(
    conversations: Annotated[list[str] | None, typer.Argument(help="Ids.", show_default=False)] = None,
    *,
    idle_days: Annotated[
        int | None, typer.Option(min=1, help="Also those to which nobody has said anything for so long.")
    ] = None,
) -> None:
    """Forget conversations: what was inserted into them, and what was learnt from them."""
    if not conversations and idle_days is None:
        raise typer.BadParameter("name conversations, or give --idle-days")
    forgotten = asyncio.run(_forget(conversations or [], idle_days))
    for conversation, turns in forgotten.items():
        if turns:
            say(f"{conversation}  forgotten: {format_count(turns, 'turn')}")
        else:
            print_error(
                f"conversation {conversation!r} is not known; ids are in the proxy's response headers"
            )
    if not all(forgotten.values()):
        raise typer.Exit(BAD_INPUT)


async def _forget(conversations: list[str], idle_days: int | None) -> dict[str, int]:
    async with open_database(load_settings()) as database:
        store = TurnStore(database)
        idle = await store.idle(utc_now() - timedelta(days=idle_days)) if idle_days else []
        return {each: await store.forget(each) for each in dict.fromkeys([*conversations, *idle])}
