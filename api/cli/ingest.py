"""`arcpoint ingest`: loads request logs and incidents from files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from api.cli.failure import exit_on_error
from api.ingest import (
    ColumnMapping,
    IncidentRecord,
    IngestSummary,
    Progress,
    Report,
    RequestRecord,
    ingest_file,
    load_mapping,
)
from api.ingest.records import Record
from api.settings import load_settings
from models.database import Database
from models.migrations import head_revision

app = typer.Typer(help="Load request logs and incidents from files.", no_args_is_help=True)

NOTHING_LOADED = 1
INTERRUPTED = 130

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON Lines, in UTF-8.")]
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
        "status.values.OK=success, file.zone=UTC and so on. Can be repeated.",
    ),
]
Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where rejected rows go, by default NAME.rejects.jsonl.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


@app.command()
def requests(
    file: File,
    mapping: Mapping = None,
    settings: Settings = None,
    rejects: Rejects = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Append a request log; rows that were loaded before are left out."""
    _run(_Load(RequestRecord, file, mapping, tuple(settings or ()), rejects), as_json=as_json)


@app.command()
def incidents(
    file: File,
    mapping: Mapping = None,
    settings: Settings = None,
    rejects: Rejects = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Add incidents, and bring those that were loaded before up to date."""
    _run(_Load(IncidentRecord, file, mapping, tuple(settings or ()), rejects), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Load:
    """One command as it was given."""

    record_type: type[Record]
    file: Path
    mapping: Path | None
    settings: tuple[str, ...]
    rejects: Path | None

    def run(self, report: Report) -> IngestSummary:
        mapping = load_mapping(self.record_type, self.mapping, self.settings)
        database = Database(load_settings().database_url)
        return asyncio.run(self._run(database, head_revision(), mapping, report))

    async def _run(
        self, database: Database, revision: str, mapping: ColumnMapping, report: Report
    ) -> IngestSummary:
        rejects = self.rejects or Path(f"{self.file.stem}.rejects.jsonl")
        try:
            await database.require_revision(revision)
            return await ingest_file(database, self.file, mapping, rejects=rejects, progress=report)
        finally:
            await database.close()


def _run(load: _Load, *, as_json: bool) -> None:
    """Runs the load and leaves with its exit code."""
    seen = IngestSummary()
    try:
        with exit_on_error(), _progress_bar(load.file.name) as show:

            def report(progress: Progress) -> None:
                nonlocal seen
                seen = progress.summary
                show(progress)

            summary = load.run(report)
    except KeyboardInterrupt:
        stored = f"{seen.stored:,} rows of {load.file} are stored"
        typer.echo(f"interrupted: {stored}; the same command again continues", err=True)
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(json.dumps(summary.as_dict(), indent=2) if as_json else _text(summary))
    if not summary.stored:
        raise typer.Exit(NOTHING_LOADED)


@contextmanager
def _progress_bar(name: str) -> Iterator[Report]:
    """Shows rows, rate and the time left; nothing where standard error is no terminal."""
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
    if summary.rejected:
        lines.append(f"rejected rows are in {summary.rejects_file}:")
        lines += [f"  {count:,}  {reason}" for reason, count in summary.reasons.items()]
    return "\n".join(lines)
