"""`arcpoint memory forget`: erases what an incident said, everywhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.archive.postmortem_files import PostmortemFiles
from api.cli.failure import BAD_INPUT
from api.cli.memory.opened_memory import opened_memory
from api.cli.memory.review import Incidents
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import print_error, say
from api.settings import load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from memory.maintenance.forgetting import Forgotten

app = typer.Typer()


@app.command()
def forget(
    incidents: Incidents,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Erase what incidents said: texts, vectors, postmortems, and prompts that quoted them.

    Ids, times and figures stay. There is no way back but a backup. All of them are forgotten, or none;
    repeating it finishes what was interrupted.
    """
    if not yes and not _confirmed(incidents):
        print_error("nothing was forgotten; say yes, or run it with --yes")
        raise typer.Exit(BAD_INPUT)
    for each in asyncio.run(_forget(incidents)):
        say(_line(each))
    for path in asyncio.run(asyncio.to_thread(_left_on_disk, load_settings().memory_path)):
        print_error(f"note: {path} holds a damaged index that was moved aside; delete it by hand")


def _confirmed(incidents: Sequence[str]) -> bool:
    named = incidents[0] if len(incidents) == 1 else format_count(len(incidents), "incident")
    # Not on standard output, which may be a file; the end of the input is no yes.
    sys.stderr.write(f"Erase what {named} said, for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


async def _forget(incidents: Sequence[str]) -> tuple[Forgotten, ...]:
    settings = load_settings()
    async with opened_memory(settings) as (_, memory):
        with progress_bar("building memory without it") as progress:
            forgotten = await memory.maintenance.forget(incidents, at=utc_now(), progress=progress)
    await asyncio.to_thread(_remove_files, PostmortemFiles(settings.postmortem_path), incidents)
    return forgotten


def _remove_files(files: PostmortemFiles, incidents: Sequence[str]) -> None:
    for incident in incidents:
        files.path(incident).unlink(missing_ok=True)


def _left_on_disk(memory_path: Path) -> list[Path]:
    return sorted(memory_path.parent.glob(f"{memory_path.name}.corrupt-*"))


def _line(each: Forgotten) -> str:
    parts = ["its texts and vectors"]
    if each.postmortem:
        parts.append("its postmortem")
    if each.questions:
        parts.append(f"what {format_count(each.questions, 'logged question')} quoted of it")
    return f"{each.incident}  forgotten: {', '.join(parts)}"
