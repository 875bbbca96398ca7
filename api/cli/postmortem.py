"""`arcpoint postmortem`: writes the postmortems of resolved incidents."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failure import INTERRUPTED, TROUBLE
from api.cli.interruption import until_stopped
from api.cli.json_output import say_json
from api.cli.options import EXAMPLE, AsJson, moment_option
from api.cli.postmortem_batch import Outcome, PostmortemBatch, Report, Selection, Tally
from api.cli.progress_bar import progress_bar
from api.cli.streams import complain, say, silence_output
from api.postmortem_files import PostmortemFiles
from api.services import MEMORY_START_S, Services, open_services
from api.settings import Settings, load_settings
from context_builder.figures import count, dollars
from memory.errors import MemoryUnavailable
from memory.incident_memory import IncidentMemory

_MOST_AT_ONCE = 32


def postmortem(
    incident: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this incident. Can be repeated.", show_default=False),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="ISO", parser=moment_option, help=f"Only incidents resolved from then on: {EXAMPLE}."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the files, instead of ARCPOINT_POSTMORTEM_PATH."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=_MOST_AT_ONCE, help="How many are written at the same time.")
    ] = 4,
    *,
    as_json: AsJson = False,
) -> None:
    """Write the postmortems that resolved incidents lack, one model call each.

    Each is stored in the database and then written to a file. The command can be stopped at any time;
    the same command again continues and repeats nothing.
    """
    selection = Selection(incidents=tuple(incident or ()), since=since)
    settings = load_settings()
    files = PostmortemFiles(out or settings.postmortem_path)
    code = asyncio.run(_postmortems(settings, selection, files, concurrency, as_json=as_json))
    raise typer.Exit(code)


async def _postmortems(
    settings: Settings, selection: Selection, files: PostmortemFiles, concurrency: int, *, as_json: bool
) -> int:
    async with open_services(settings, wait_for_memory=False) as services:
        with _watched(quiet=as_json) as report:
            batch = PostmortemBatch(services.postmortems, files, report)
            stopped = await until_stopped(_write(services, batch, selection, concurrency))
        tally = batch.tally
        if as_json:
            say_json(_document(tally, stopped=stopped))
        else:
            say(_summary(tally, stopped=stopped))
        await _remember(services.memory)
    if stopped:
        return INTERRUPTED
    return TROUBLE if tally.failed else 0


async def _write(services: Services, batch: PostmortemBatch, selection: Selection, concurrency: int) -> None:
    await batch.begin(selection)
    if batch.tally.left:
        await services.memory.started(at_most_s=MEMORY_START_S)
    await batch.write(concurrency=concurrency)


@contextmanager
def _watched(*, quiet: bool) -> Iterator[Report]:
    """Shows a line for each incident, and a bar where standard error is a terminal."""
    with progress_bar("writing postmortems") as progress:

        async def report(outcome: Outcome | None, tally: Tally) -> None:
            progress(tally.tried, tally.total)
            if outcome is not None and not quiet:
                # In a thread: a reader that has paused must not hold up the calls under way.
                await asyncio.to_thread(_show, _line(outcome))

        yield report


def _show(line: str) -> None:
    """Writes a line at once. A reader that has left does not stop what is being paid for."""
    try:
        say(line)
        sys.stdout.flush()
    except OSError:
        silence_output()


def _line(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.incident}  failed: {outcome.error}"
    if outcome.restored:
        return f"{outcome.incident}  file made again: {outcome.file}"
    by = f"{outcome.model}, {dollars(outcome.cost_usd)}" if outcome.model else "without a model"
    return f"{outcome.incident}  {outcome.file} ({by})"


def _summary(tally: Tally, *, stopped: bool) -> str:
    if not tally.outcomes and not stopped:
        return "nothing to do: every resolved incident of the selection has its postmortem"
    parts = [f"{count(len(tally.written), 'postmortem')} written ({dollars(tally.cost_usd)})"]
    if tally.restored:
        parts.append(f"{count(len(tally.restored), 'file')} made again")
    if tally.failed:
        parts.append(f"{len(tally.failed):,} failed")
    if tally.left:
        parts.append(f"{tally.left:,} left")
    done = ", ".join(parts)
    return f"{done}; the same command continues" if tally.left or tally.failed else done


def _document(tally: Tally, *, stopped: bool) -> dict[str, Any]:
    return {
        "written": [_entry(outcome) for outcome in tally.written],
        "restored": [_entry(outcome) for outcome in tally.restored],
        "failed": [{"incident": each.incident, "error": each.error} for each in tally.failed],
        "left": tally.left,
        "cost_usd": str(tally.cost_usd),
        "interrupted": stopped,
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "incident": outcome.incident,
        "file": str(outcome.file),
        "model": outcome.model,
        "cost_usd": str(outcome.cost_usd),
    }


async def _remember(memory: IncidentMemory) -> None:
    """Lets the incidents be recalled; the postmortems are safe without that."""
    try:
        with progress_bar("remembering incidents") as progress:
            await memory.sync(progress)
    except MemoryUnavailable as error:
        complain(f"warning: incident memory is not up to date: {error}")
