"""`arcpoint poll`: polls in the foreground, once, or shows how each poller is."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from api.cli.failure import EXIT_FAILURE, INTERRUPTED
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.http.json_body import to_document
from api.log_setup import configure_logging
from api.pollers.opening import open_pollers
from api.redaction import make_redaction
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.telemetry.polled.pollers import PollerHealth, PollerReport, poller_reports
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_time

app = typer.Typer(invoke_without_command=True)

Once = Annotated[bool, typer.Option("--once", help="Poll every target once, show what came of it, and end.")]


@app.callback()
def poll(context: typer.Context, *, once: Once = False, as_json: AsJson = False) -> None:
    """Poll what ARCPOINT_POLL_FILE lists until Ctrl-C; `arcpoint serve` does it, too, in one process."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    if once:
        reports = asyncio.run(_poll_once(settings))
        _show(reports, as_json=as_json)
        if any(report.health is not PollerHealth.OK for report in reports):
            raise typer.Exit(EXIT_FAILURE)
        return
    configure_logging(settings.log_format, make_redaction(settings))
    try:
        asyncio.run(_poll_on(settings))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show the last poll of each target, whichever process made it."""
    settings = load_settings()
    _show(asyncio.run(_reports(settings)), as_json=as_json)
    if settings.no_poll_reason is not None:
        say(settings.no_poll_reason)


async def _poll_once(settings: Settings) -> list[PollerReport]:
    async with open_database(settings) as database, open_pollers(settings, database) as runner:
        await runner.once()
    return await _reports(settings)


async def _poll_on(settings: Settings) -> None:
    async with open_database(settings) as database, open_pollers(settings, database) as runner:
        await runner.run()


async def _reports(settings: Settings) -> list[PollerReport]:
    async with open_database(settings) as database, database.read() as session:
        return await poller_reports(session, utc_now())


def _show(reports: list[PollerReport], *, as_json: bool) -> None:
    if as_json:
        say_json({"pollers": [to_document(report) for report in reports]})
        return
    rows = tuple(
        (
            report.name,
            report.health.upper() if report.health is not PollerHealth.OK else report.health.value,
            format_time(report.succeeded_at) if report.succeeded_at else "never",
            format_time(report.next_at),
            report.error or report.summary or "",
        )
        for report in reports
    )
    columns = ("target", "health", "last success", "next poll", "")
    for line in plain_lines(TextTable(title="Pollers", rows=rows, columns=columns if rows else ())):
        say(line)
    if not rows:
        say("nothing has been polled; ARCPOINT_POLL_FILE names the file that says what is")
