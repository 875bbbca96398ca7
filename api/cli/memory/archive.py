"""`arcpoint memory import` and `export`: archives of incidents and postmortems become memory, and back."""

from __future__ import annotations

import asyncio
from dataclasses import replace as changed
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from api.archive import (
    STANDARD_STREAM,
    ArchiveRecord,
    ImportDefaults,
    ImportOptions,
    ImportPolicy,
    ImportSummary,
    export_archive,
    import_archive,
)
from api.cli.failure import EXIT_FAILURE, INTERRUPTED
from api.cli.ingest import Mapping as MappingFile
from api.cli.interruption import until_stopped
from api.cli.memory.review import login_name
from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import progress_bar
from api.cli.terminal.streams import print_error, say
from api.ingest.files import bind, load_mapping
from api.ingest.records import parse_zone
from api.services import open_database, open_memory
from api.settings import Settings, load_settings
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count
from memory.errors import MemoryUnavailable
from memory.maintenance.index_maintenance import SyncReport
from models import Severity
from models.database import Database

app = typer.Typer()


def _zone(text: str | tzinfo) -> tzinfo:
    if isinstance(text, tzinfo):
        return text
    try:
        return parse_zone(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Folders, Markdown files, JSON Lines files, or - for stdin."),
    ],
    timezone: Annotated[
        tzinfo | None,
        typer.Option(
            metavar="ZONE",
            parser=_zone,
            help="Zone of times without one: UTC, Europe/Paris, +02:00.",
            show_default=False,
        ),
    ] = None,
    severity: Annotated[
        Severity | None, typer.Option(help="Severity of incidents without one.", show_default=False)
    ] = None,
    mapping: MappingFile = None,
    *,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Overwrite also what was not imported, or was edited or reviewed here."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would change; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import an archive of incidents and postmortems; the same archive again changes nothing.

    Files are Markdown, with front matter or without, or JSON Lines. Documents that cannot be imported are
    reported with their place, the others are imported. The command can be stopped at any time; the same
    command continues.
    """
    columns = load_mapping(ArchiveRecord, mapping)
    bindings = bind(changed(columns, by_name=False), None, str(mapping)) if columns.fields else None
    options = ImportOptions(
        policy=ImportPolicy(replace=replace, by=login_name(), at=utc_now()),
        defaults=ImportDefaults(timezone or columns.file.zone, severity, bindings),
        dry_run=dry_run,
    )
    raise typer.Exit(asyncio.run(_import(load_settings(), paths, options, as_json=as_json)))


@app.command()
def export(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder, a file .jsonl, or - for JSON Lines on stdout.")
    ],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite files that are there.")] = False,
) -> None:
    """Write all incidents with their postmortems, as files that `import` reads."""
    done = asyncio.run(_export(path, replace=replace))
    if str(path) != STANDARD_STREAM:
        say(f"{format_count(done, 'incident')} exported to {path}")


async def _import(settings: Settings, paths: list[Path], options: ImportOptions, *, as_json: bool) -> int:
    summary = ImportSummary()
    async with open_database(settings) as database:
        with progress_bar("checking" if options.dry_run else "importing incidents") as progress:
            stopped = await until_stopped(
                import_archive(database, paths, options, summary=summary, progress=progress)
            )
        report = None if stopped or options.dry_run else await _sync_memory(settings, database)
    if as_json:
        say_json(_document(summary, report, stopped=stopped))
    else:
        _report(summary, report, stopped=stopped)
    if stopped:
        return INTERRUPTED
    return EXIT_FAILURE if summary.rejected else 0


async def _sync_memory(settings: Settings, database: Database) -> SyncReport | None:
    """Bring memory up to date; what was imported is safe without that."""
    try:
        async with open_memory(settings, database) as memory:
            with progress_bar("remembering incidents") as progress:
                return await memory.sync(progress)
    except MemoryUnavailable as error:
        print_error(f"warning: incident memory is not up to date: {error}")
        return None


def _report(summary: ImportSummary, report: SyncReport | None, *, stopped: bool) -> None:
    for error in summary.rejected:
        print_error(str(error))
    for note in summary.notes:
        print_error(f"note: {note}")
    for skipped in summary.skipped:
        print_error(f"skipped: {skipped}")
    say(f"{format_count(summary.documents, 'document')} read in {summary.seconds:,.1f} s")
    parts = [f"{summary.added:,} added", f"{summary.updated:,} updated", f"{summary.unchanged:,} unchanged"]
    if summary.forgotten:
        parts.append(f"{summary.forgotten:,} forgotten here before")
    parts.append(f"{len(summary.rejected):,} rejected")
    if summary.skipped:
        parts.append(f"{len(summary.skipped):,} skipped")
    counts = ", ".join(parts)
    say(f"would be: {counts}; nothing was written" if summary.dry_run else counts)
    if report is not None:
        say(f"memory holds {format_count(report.entries, 'incident')}, {report.embedded:,} newly embedded")
    if stopped:
        say("interrupted; the same command again continues")


def _document(summary: ImportSummary, report: SyncReport | None, *, stopped: bool) -> dict[str, Any]:
    memory = None if report is None else {"entries": report.entries, "embedded": report.embedded}
    return summary.as_dict() | {"memory": memory, "interrupted": stopped}


async def _export(path: Path, *, replace: bool) -> int:
    async with open_database(load_settings()) as database:
        with progress_bar("exporting incidents") as progress:
            return await export_archive(database, path, replace=replace, progress=progress)
