"""`arcpoint memory forget`: erases the texts of incidents everywhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.archive.postmortem_files import PostmortemFiles
from api.cli.failure import BAD_INPUT
from api.cli.memory.review import Incidents
from api.cli.memory.session import memory_session
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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase the texts of incidents: records, vectors, postmortems, and prompts that quoted them.

    Ids, times and figures stay. Only a backup can restore the texts. All of the incidents are forgotten, or
    none; run it again to finish what was interrupted.
    """
    if not yes and not _confirmed(incidents):
        print_error("nothing was forgotten; answer y, or use --yes")
        raise typer.Exit(BAD_INPUT)
    for each in asyncio.run(_forget(incidents)):
        say(_line(each))
    for path in asyncio.run(asyncio.to_thread(_left_on_disk, load_settings().memory_path)):
        print_error(f"note: {path} is a damaged index that was moved aside; delete it by hand")


def _confirmed(incidents: Sequence[str]) -> bool:
    named = incidents[0] if len(incidents) == 1 else format_count(len(incidents), "incident")
    # Not on standard output, which may be a file; end of input is not a yes.
    sys.stderr.write(f"Permanently erase the texts of {named}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


async def _forget(incidents: Sequence[str]) -> tuple[Forgotten, ...]:
    settings = load_settings()
    async with memory_session(settings) as (_, memory):
        with progress_bar("rebuilding memory") as progress:
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
        parts.append(f"quotes of it in {format_count(each.questions, 'logged question')}")
    return f"{each.incident}  forgotten: {', '.join(parts)}"
