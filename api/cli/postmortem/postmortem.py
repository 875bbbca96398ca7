"""`arcpoint postmortem`: writes the postmortems of resolved incidents, and shows what there is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import typer

from api.archive.postmortem_files import PostmortemFiles
from api.cli.failure import EXIT_FAILURE, INTERRUPTED
from api.cli.interruption import until_stopped
from api.cli.options import AsJson
from api.cli.postmortem.batch import Order, Outcome, PostmortemBatch, Report, Result, Tally
from api.cli.postmortem.batch_api import ThroughBatches
from api.cli.postmortem.options import (
    BatchApi,
    Concurrency,
    Incidents,
    MaxCost,
    Out,
    RefreshStale,
    Since,
    TemplateName,
)
from api.cli.postmortem.records import add_commands
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import Bar, progress_bar
from api.cli.terminal.streams import print_error, say, silence_output
from api.services import MEMORY_START_S, NO_KEY, Services, open_services
from api.settings import Settings, SettingsError, load_settings
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.spending import Spending
from context_builder.postmortems.template import DEFAULT, load_template
from context_builder.text.formatting import format_count, format_dollars
from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory

CAP_REACHED = 3
"""Exit code: nothing failed, and incidents are left because of --max-cost."""

app = typer.Typer(invoke_without_command=True)


@app.callback()
@app.command("write")
def write(  # noqa: PLR0913  one for each option
    context: typer.Context,
    *,
    incident: Incidents = None,
    since: Since = None,
    out: Out = None,
    template: TemplateName = DEFAULT,
    max_cost: MaxCost = None,
    refresh_stale: RefreshStale = False,
    concurrency: Concurrency = 4,
    batch_api: BatchApi = False,
    as_json: AsJson = False,
) -> None:
    """Write the postmortems that resolved incidents lack, one model call each.

    Each is stored in the database and then written to a file; what a person has edited or decided on is never
    replaced. The command can be stopped at any time; the same command again continues and repeats nothing.
    """
    if context.invoked_subcommand is not None:
        _require_no_options(context)
        return
    settings = load_settings()
    order = Order(
        selection=Selection(incidents=tuple(incident or ()), since=since, refresh_stale=refresh_stale),
        template=load_template(template),
        spending=Spending(max_cost),
        batch_api=batch_api,
    )
    if batch_api and settings.anthropic_api_key is None:
        raise SettingsError(f"--batch-api: {NO_KEY}")
    files = PostmortemFiles(out or settings.postmortem_path)
    raise typer.Exit(asyncio.run(_postmortems(settings, order, files, concurrency, as_json=as_json)))


add_commands(app)


def _require_no_options(context: typer.Context) -> None:
    """Options of writing that stand before another command would be lost without a word."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        option = given[0].removeprefix("as_").replace("_", "-")
        raise typer.BadParameter(
            f"put --{option} after the command: `... {context.invoked_subcommand} --{option}`"
        )


async def _postmortems(
    settings: Settings, order: Order, files: PostmortemFiles, concurrency: int, *, as_json: bool
) -> int:
    async with open_services(settings, wait_for_memory=False) as services:
        outcomes: list[Outcome] = []
        with _watched(outcomes if as_json else None) as (report, bar):
            batch = PostmortemBatch(services.postmortems, files, order, report)
            through = ThroughBatches(services, batch, order, bar.describe)
            write = through.write if order.batch_api else partial(_write, services, batch)
            stopped = await until_stopped(write(concurrency=concurrency))
        tally = batch.tally
        if as_json:
            document = _document(outcomes, tally, order.spending, stopped=stopped)
            say_json(document | (through.document() if order.batch_api else {}))
        else:
            say(_summary(tally, stopped=stopped))
        await through.conclude()
        await _remember(services.memory)
    if stopped:
        return INTERRUPTED
    if tally.counts[Result.FAILED] or through.problem is not None:
        return EXIT_FAILURE
    return CAP_REACHED if tally.counts[Result.UNAFFORDABLE] else 0


async def _write(services: Services, batch: PostmortemBatch, *, concurrency: int) -> None:
    await batch.begin()
    if batch.tally.left:
        await services.memory.started(at_most_s=MEMORY_START_S)
    await batch.write(concurrency=concurrency)


@contextmanager
def _watched(kept: list[Outcome] | None) -> Iterator[tuple[Report, Bar]]:
    """Shows a line for each incident, or keeps the outcomes, and a bar where standard error is a terminal."""
    with progress_bar("writing postmortems") as progress:

        async def report(outcome: Outcome | None, tally: Tally) -> None:
            progress(tally.tried, tally.total)
            if outcome is None:
                return
            if kept is not None:
                kept.append(outcome)
            elif line := _line(outcome):
                # In a thread: a reader that has paused must not hold up the calls under way.
                await asyncio.to_thread(_show, line)

        yield report, progress


def _show(line: str) -> None:
    """Writes a line at once. A reader that has left does not stop what is being paid for."""
    try:
        say(line)
        sys.stdout.flush()
    except OSError:
        silence_output()


def _line(outcome: Outcome) -> str:
    """What is said of one incident; empty: it is only counted."""
    if outcome.result is Result.FAILED:
        return f"{outcome.incident}  failed: {outcome.note}"
    if outcome.result is Result.RESTORED:
        return f"{outcome.incident}  file made again: {outcome.file}"
    if outcome.result is not Result.WRITTEN:
        return f"{outcome.incident}  left: {outcome.note}" if outcome.note else ""
    by = f"{outcome.model}, {format_dollars(outcome.cost_usd)}" if outcome.model else "without a model"
    return f"{outcome.incident}  {outcome.note or outcome.file} ({by})"


def _summary(tally: Tally, *, stopped: bool) -> str:
    counts = tally.counts
    if not counts and not stopped:
        return "nothing to do: every resolved incident of the selection has its postmortem"
    parts = [
        f"{format_count(counts[Result.WRITTEN], 'postmortem')} written ({format_dollars(tally.cost_usd)})"
    ]
    if counts[Result.RESTORED]:
        parts.append(f"{format_count(counts[Result.RESTORED], 'file')} made again")
    if counts[Result.EDITED]:
        parts.append(f"{counts[Result.EDITED]:,} edited and left as they are")
    if counts[Result.ELSEWHERE]:
        parts.append(f"{counts[Result.ELSEWHERE]:,} left to others")
    if counts[Result.FAILED]:
        parts.append(f"{counts[Result.FAILED]:,} failed")
    if tally.left:
        parts.append(f"{tally.left:,} left")
    done = ", ".join(parts)
    if counts[Result.UNAFFORDABLE]:
        return f"{done}: no more fits under --max-cost; the same command with a new one continues"
    return f"{done}; the same command continues" if tally.left or counts[Result.FAILED] else done


def _document(outcomes: list[Outcome], tally: Tally, spending: Spending, *, stopped: bool) -> dict[str, Any]:
    def those(result: Result) -> list[Outcome]:
        return [outcome for outcome in outcomes if outcome.result is result]

    notes = (Result.FAILED, Result.EDITED, Result.ELSEWHERE, Result.UNAFFORDABLE)
    return {
        "written": [_entry(outcome) for outcome in those(Result.WRITTEN)],
        "restored": [_entry(outcome) for outcome in those(Result.RESTORED)],
        **{
            result.value: [{"incident": each.incident, "error": each.note} for each in those(result)]
            for result in notes
        },
        "left": tally.left,
        "cost_usd": str(tally.cost_usd),
        "spent_at_most_usd": str(spending.spent),
        "interrupted": stopped,
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "incident": outcome.incident,
        "file": None if outcome.file is None else str(outcome.file),
        "model": outcome.model,
        "cost_usd": str(outcome.cost_usd),
    }


async def _remember(memory: IncidentMemory) -> None:
    """Lets the incidents be recalled; the postmortems are safe without that."""
    try:
        with progress_bar("remembering incidents") as progress:
            await memory.sync(progress)
    except MemoryUnavailable as error:
        print_error(f"warning: incident memory is not up to date: {error}")
