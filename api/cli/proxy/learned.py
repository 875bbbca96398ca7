"""`arcpoint proxy learned` and `forget`: what replies used of inserted facts."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from api.cli.failure import BAD_INPUT
from api.cli.terminal.streams import print_error, say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.proxy.rewriting.learning import LearnedKind, Learning
from api.proxy.rewriting.turn_store import TurnStore
from api.services import open_database
from api.settings import load_settings
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
    conversation: Annotated[str, typer.Argument(help="Id of the conversation.", show_default=False)],
) -> None:
    """Forget a conversation: what was inserted into it, and what was learnt from it."""
    count = asyncio.run(_forget(conversation))
    if not count:
        print_error(f"conversation {conversation!r} is not known; ids are in the proxy's response headers")
        raise typer.Exit(BAD_INPUT)
    say(f"{conversation}  forgotten: {format_count(count, 'turn')}; a running proxy knows it until it ends")


async def _forget(conversation: str) -> int:
    async with open_database(load_settings()) as database:
        return await TurnStore(database).forget(conversation)
