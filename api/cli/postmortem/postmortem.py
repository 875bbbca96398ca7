"""`arcpoint postmortem`: write the postmortems of resolved incidents, and show them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import typer

from api.archive.postmortem_files import PostmortemFiles
from api.cli.failure import EXIT_FAILURE, INTERRUPTED
from api.cli.interruption import until_stopped
from api.cli.options import AsJson
from api.cli.postmortem.batch_api import BatchApiRunner
from api.cli.postmortem.batches import batches
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
from api.cli.postmortem.run import IncidentOutcome, OutcomeKind, PostmortemRun, Report, RunOptions, Tally
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import Bar, progress_bar
from api.cli.terminal.streams import print_error, say, silence_output
from api.services import MEMORY_START_S, Services, open_services
from api.settings import Settings, SettingsError, load_settings
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.template import DEFAULT, load_template
from context_builder.spend.accounts import Payer
from context_builder.text.formatting import format_count, format_dollars
from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory
from models import AccountKind

CAP_REACHED = 3
"""Exit code: nothing failed, but incidents are left because of --max-cost or a cap."""

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
    """Write the missing postmortems of resolved incidents, one model call each.

    Each is stored in the database and then written to a file; what a person has edited or decided on is never
    replaced. The command can be stopped at any time; run it again to continue, nothing is repeated.
    """
    if context.invoked_subcommand is not None:
        _require_no_options(context)
        return
    settings = load_settings()
    options = RunOptions(
        selection=Selection(incidents=tuple(incident or ()), since=since, refresh_stale=refresh_stale),
        template=load_template(template),
        payer=Payer(run=f"run_{uuid4().hex}", run_limit_usd=max_cost),
        batch_api=batch_api,
    )
    if batch_api and settings.no_model_reason is not None:
        raise SettingsError(f"--batch-api: {settings.no_model_reason}")
    files = PostmortemFiles(out or settings.postmortem_path)
    raise typer.Exit(asyncio.run(_postmortems(settings, options, files, concurrency, as_json=as_json)))


add_commands(app)
app.command("batches")(batches)


def _require_no_options(context: typer.Context) -> None:
    """Reject options of `write` given before another command: they would be ignored silently."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        option = given[0].removeprefix("as_").replace("_", "-")
        raise typer.BadParameter(
            f"put --{option} after the command: `... {context.invoked_subcommand} --{option}`"
        )


async def _postmortems(
    settings: Settings, options: RunOptions, files: PostmortemFiles, concurrency: int, *, as_json: bool
) -> int:
    async with open_services(settings, wait_for_memory=False) as services:
        outcomes: list[IncidentOutcome] = []
        with _watched(outcomes if as_json else None) as (report, bar):
            run = PostmortemRun(services.postmortems, files, options, report)
            batch_api = BatchApiRunner(services, run, options, bar.describe)
            write = batch_api.write if options.batch_api else partial(_write, services, run)
            stopped = await until_stopped(write(concurrency=concurrency))
        tally = run.tally
        if as_json:
            spent = await services.ledger.spent(AccountKind.RUN, options.payer.run or "")
            document = _document(outcomes, tally, spent, stopped=stopped)
            say_json(document | (batch_api.document() if options.batch_api else {}))
        else:
            say(_summary(tally, stopped=stopped))
        await batch_api.conclude()
        await _remember(services.memory)
    if stopped:
        return INTERRUPTED
    if tally.counts[OutcomeKind.FAILED] or batch_api.problem is not None:
        return EXIT_FAILURE
    return CAP_REACHED if tally.counts[OutcomeKind.UNAFFORDABLE] else 0


async def _write(services: Services, run: PostmortemRun, *, concurrency: int) -> None:
    await run.begin()
    if run.tally.left:
        await services.memory.started(at_most_s=MEMORY_START_S)
    await run.write(concurrency=concurrency)


@contextmanager
def _watched(kept: list[IncidentOutcome] | None) -> Iterator[tuple[Report, Bar]]:
    """Print a line for each outcome, or keep the outcomes; show a bar if standard error is a terminal."""
    with progress_bar("writing postmortems") as progress:

        async def report(outcome: IncidentOutcome | None, tally: Tally) -> None:
            progress(tally.tried, tally.total)
            if outcome is None:
                return
            if kept is not None:
                kept.append(outcome)
            elif line := _line(outcome):
                # In a thread: a paused reader must not hold up the calls in flight.
                await asyncio.to_thread(_show, line)

        yield report, progress


def _show(line: str) -> None:
    """Print a line immediately. A closed pipe does not stop work that is paid for."""
    try:
        say(line)
        sys.stdout.flush()
    except OSError:
        silence_output()


def _line(outcome: IncidentOutcome) -> str:
    """Return the line of one incident; empty if it is only counted."""
    if outcome.kind is OutcomeKind.FAILED:
        return f"{outcome.incident}  failed: {outcome.note}"
    if outcome.kind is OutcomeKind.RESTORED:
        return f"{outcome.incident}  file restored: {outcome.file}"
    if outcome.kind is not OutcomeKind.WRITTEN:
        return f"{outcome.incident}  skipped: {outcome.note}" if outcome.note else ""
    by = f"{outcome.model}, {format_dollars(outcome.cost_usd)}" if outcome.model else "without a model"
    return f"{outcome.incident}  {outcome.note or outcome.file} ({by})"


def _summary(tally: Tally, *, stopped: bool) -> str:
    counts = tally.counts
    if not counts and not stopped:
        return "nothing to do: every resolved incident of the selection has its postmortem"
    written = format_count(counts[OutcomeKind.WRITTEN], "postmortem")
    parts = [f"{written} written ({format_dollars(tally.cost_usd)})"]
    if counts[OutcomeKind.RESTORED]:
        parts.append(f"{format_count(counts[OutcomeKind.RESTORED], 'file')} restored")
    if counts[OutcomeKind.EDITED]:
        parts.append(f"{format_count(counts[OutcomeKind.EDITED], 'edited file')} left unchanged")
    if counts[OutcomeKind.ELSEWHERE]:
        parts.append(f"{counts[OutcomeKind.ELSEWHERE]:,} skipped, written elsewhere")
    if counts[OutcomeKind.FAILED]:
        parts.append(f"{counts[OutcomeKind.FAILED]:,} failed")
    if tally.left:
        parts.append(f"{tally.left:,} left")
    done = ", ".join(parts)
    if counts[OutcomeKind.UNAFFORDABLE]:
        none = "nothing more fits under --max-cost or a cap of `arcpoint spend`"
        return f"{done}: {none}; run it again with a new one to continue"
    return f"{done}; run it again to continue" if tally.left or counts[OutcomeKind.FAILED] else done


def _document(
    outcomes: list[IncidentOutcome], tally: Tally, spent: Decimal, *, stopped: bool
) -> dict[str, Any]:
    def of(kind: OutcomeKind) -> list[IncidentOutcome]:
        return [outcome for outcome in outcomes if outcome.kind is kind]

    notes = (OutcomeKind.FAILED, OutcomeKind.EDITED, OutcomeKind.ELSEWHERE, OutcomeKind.UNAFFORDABLE)
    return {
        "written": [_entry(outcome) for outcome in of(OutcomeKind.WRITTEN)],
        "restored": [_entry(outcome) for outcome in of(OutcomeKind.RESTORED)],
        **{
            kind.value: [{"incident": each.incident, "error": each.note} for each in of(kind)]
            for kind in notes
        },
        "left": tally.left,
        "cost_usd": str(tally.cost_usd),
        "spent_at_most_usd": f"{spent:f}",
        "interrupted": stopped,
    }


def _entry(outcome: IncidentOutcome) -> dict[str, Any]:
    return {
        "incident": outcome.incident,
        "file": None if outcome.file is None else str(outcome.file),
        "model": outcome.model,
        "cost_usd": str(outcome.cost_usd),
    }


async def _remember(memory: IncidentMemory) -> None:
    """Index the incidents; the postmortems are stored even if that fails."""
    try:
        with progress_bar("remembering incidents") as progress:
            await memory.sync(progress)
    except MemoryUnavailable as error:
        print_error(f"warning: incident memory is not up to date: {error}")
