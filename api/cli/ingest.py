"""`arcpoint ingest`: loads request logs, incidents and other records from files."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from api.cli.failure import EXIT_FAILURE, INTERRUPTED
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import print_error, say
from api.ingest import (
    RECORD_TYPES,
    ColumnMapping,
    IngestSummary,
    Progress,
    Record,
    Report,
    ingest_file,
    load_mapping,
)
from api.services import open_database
from api.settings import load_settings

app = typer.Typer(help="Load request logs, incidents and other records from files.", no_args_is_help=True)

_HELP = {
    "requests": "Append a request log; rows that were loaded before are left out.",
    "incidents": "Add incidents, and bring those that were loaded before up to date.",
}

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON Lines, in UTF-8, or Parquet.")]
Mapping = Annotated[
    Path | None, typer.Option("--mapping", "-m", metavar="TOML", help="Which column fills which field.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="One setting of the mapping: user=groupId, tier.constant=standard, latency_ms.unit=s, "
        "created_at.format='%d.%m.%Y %H:%M', status.values.OK=success, file.zone=UTC and so on. "
        "Can be repeated.",
    ),
]
Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where rejected rows go, by default NAME.rejects.jsonl.")
]


def _command(kind: str, record_type: type[Record]) -> None:
    """Add the command that loads one kind of record."""

    def load(
        file: File,
        mapping: Mapping = None,
        settings: Settings = None,
        rejects: Rejects = None,
        *,
        as_json: AsJson = False,
    ) -> None:
        _run(file, load_mapping(record_type, mapping, settings or ()), rejects, as_json=as_json)

    app.command(kind, help=_HELP.get(kind, f"Load {kind}: {inspect.getdoc(record_type)}"))(load)


for _kind, _record_type in RECORD_TYPES.items():
    _command(_kind, _record_type)


def _run(file: Path, mapping: ColumnMapping, rejects: Path | None, *, as_json: bool) -> None:
    """Load the file and print the summary. Raises typer.Exit if nothing was loaded."""
    stored = 0
    try:
        with _progress_bar(file.name) as show:

            def report(progress: Progress) -> None:
                nonlocal stored
                stored = progress.summary.stored
                show(progress)

            destination = rejects or Path(f"{file.stem}.rejects.jsonl")
            summary = asyncio.run(_load(file, mapping, destination, report))
    except KeyboardInterrupt:
        print_error(f"interrupted: {stored:,} rows of {file} are stored; the same command again continues")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        say_json(summary.as_dict())
    else:
        say(_text(summary))
    if not summary.stored:
        raise typer.Exit(EXIT_FAILURE)


async def _load(file: Path, mapping: ColumnMapping, rejects: Path, report: Report) -> IngestSummary:
    async with open_database(load_settings()) as database:
        return await ingest_file(database, file, mapping, rejects=rejects, progress=report)


@contextmanager
def _progress_bar(name: str) -> Iterator[Report]:
    """Show rows, rate and the time left if standard error is a terminal."""
    console = Console(stderr=True)
    bar = ProgressBar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(name, total=None, rows=0, rate=0.0)

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.position,
                total=progress.size,
                rows=progress.summary.rows,
                rate=progress.summary.rows_per_second,
            )

        yield show


def _text(summary: IngestSummary) -> str:
    rate = f"{summary.rows_per_second:,.0f} rows/s"
    updated = f"{summary.updated:,} updated, " if summary.updated else ""
    present = f"{summary.already_present:,} already present"
    lines = [
        f"{summary.rows:,} rows read in {summary.seconds:,.1f} s ({rate})",
        f"{summary.added:,} added, {updated}{present}, {summary.rejected:,} rejected",
    ]
    if summary.deployments_created or summary.users_created:
        deployments, users = summary.deployments_created, summary.users_created
        lines.append(f"deployments created: {deployments:,}, users created: {users:,}")
    lines += [remark.replace(": ", f": {count:,} ", 1) for remark, count in summary.remarks.items()]
    if summary.rejected:
        lines.append(f"rejected rows are in {summary.rejects_file}:")
        lines += [f"  {count:,}  {reason}" for reason, count in summary.reasons.items()]
    return "\n".join(lines)
