"""`arcpoint audit`: reads the audit trail, and verifies that nothing in it was changed."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Annotated

import typer

from api.audit.listing import DEFAULT_ENTRIES, MAX_ENTRIES, AuditFilter, AuditLine, AuditPage, audit_page
from api.audit.verification import Anchor, Verdict, head, verify_database
from api.cli.failure import EXIT_FAILURE
from api.cli.options import EXAMPLE_TIME, AsJson, parse_time_option
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.http.json_body import to_document
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.text.formatting import format_time

app = typer.Typer(no_args_is_help=True)

Since = Annotated[
    datetime | None,
    typer.Option(metavar="ISO", parser=parse_time_option, help=f"From this time on: {EXAMPLE_TIME}."),
]
Until = Annotated[
    datetime | None, typer.Option(metavar="ISO", parser=parse_time_option, help="Before this time.")
]


@app.command("list")
def list_entries(
    *,
    since: Since = None,
    until: Until = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only this action, such as question or approve.")
    ] = None,
    caller: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this caller, such as key:ci or local:ann.")
    ] = None,
    before: Annotated[
        int | None, typer.Option(min=1, max=2**63 - 1, metavar="N", help="Only entries with smaller numbers.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MAX_ENTRIES, metavar="N", help="At most so many entries.")
    ] = DEFAULT_ENTRIES,
    as_json: AsJson = False,
) -> None:
    """List entries, newest first: who did what, when, and how it ended."""
    wanted = AuditFilter(since=since, until=until, action=action, caller=caller, before=before, limit=limit)
    page = asyncio.run(_page(load_settings(), wanted))
    if as_json:
        say_json(to_document(page))
        return
    if not page.entries:
        say("no entries")
        return
    columns = ("entry", "at (UTC)", "caller", "action", "subject", "outcome", "detail")
    table = TextTable(title="Audit trail", rows=tuple(map(_row, page.entries)), columns=columns)
    say("\n".join(plain_lines(table)))
    if page.next is not None:
        say(f"older entries: --before {page.next}")


@app.command("head")
def print_head() -> None:
    """Print number and hash of the last entry: keep it elsewhere, and verify from it later."""
    say(str(asyncio.run(_head(load_settings()))))


@app.command()
def verify(
    *,
    from_anchor: Annotated[
        str | None,
        typer.Option(
            metavar="N:HASH",
            help="What `head` printed before: the entry must still be there, and the chain go on from it.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain and report the first entry that was altered, removed, moved or put in.

    Without an anchor nobody can see that the newest entries were cut off, or that all were written again.
    """
    anchor = None if from_anchor is None else Anchor.parse(from_anchor)
    verdict = asyncio.run(_verify(load_settings(), anchor))
    if as_json:
        say_json(to_document(verdict))
    else:
        say(_text(verdict, anchor))
    if verdict.broken is not None:
        raise typer.Exit(EXIT_FAILURE)


async def _page(settings: Settings, wanted: AuditFilter) -> AuditPage:
    async with open_database(settings) as database, database.read() as session:
        return await audit_page(session, wanted)


async def _head(settings: Settings) -> Anchor:
    async with open_database(settings) as database:
        return await head(database)


async def _verify(settings: Settings, anchor: Anchor | None) -> Verdict:
    async with open_database(settings) as database:
        return await verify_database(database, anchor)


def _text(verdict: Verdict, anchor: Anchor | None) -> str:
    if verdict.broken is not None:
        broken = verdict.broken
        return f"entry {broken.sequence} is {broken.fault}: {broken.explanation}"
    start = "" if anchor is None else f" after the anchor {anchor.sequence}"
    return f"{verdict.entries:,} entries{start} are in order; the last one is {verdict.end}"


def _row(line: AuditLine) -> tuple[str, ...]:
    detail = json.dumps(line.detail, ensure_ascii=False)
    return (
        *(str(line.sequence), format_time(line.at), line.caller, line.action),
        *(line.subject, line.outcome, detail),
    )
