"""`arcpoint memory`: searches incident memory and keeps it up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter

from api.cli.failure import EXIT_FAILURE
from api.cli.memory import archive as memory_archive
from api.cli.memory import forget as memory_forget
from api.cli.memory import review as memory_review
from api.cli.memory.opened_memory import opened_memory
from api.cli.options import AsJson, AsOf
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import Report, progress_bar
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import Row, TextTable, plain_lines
from context_builder.question.checks import check_moment, check_question
from context_builder.text.clock import utc_now
from context_builder.text.formatting import format_count, format_time
from memory.incident_memory import IncidentMemory
from memory.maintenance.index_maintenance import SyncReport
from memory.maintenance.status import MemoryStatus
from memory.recall.results import Recall, RecalledIncident, RecallQuery
from models import ReviewStatus

app = typer.Typer(no_args_is_help=True)
app.add_typer(memory_review.app)
app.add_typer(memory_archive.app)
app.add_typer(memory_forget.app)

Collection = Annotated[str, typer.Argument(metavar="INDEX", help="Its name, as `memory status` shows it.")]


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to find past incidents for, in plain words.")],
    as_of: AsOf = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many to show at most.")] = 5,
    *,
    as_json: AsJson = False,
) -> None:
    """Find resolved incidents that resemble a text."""
    recall = asyncio.run(_search(text, as_of, limit))
    if as_json:
        say_json(TypeAdapter(Recall).dump_python(recall, mode="json"))
        return
    for recollection in recall.recollections:
        for line in plain_lines(_recollection(recollection)):
            say(line)
        say()
    if not recall.recollections:
        best = recall.misses[0].best_similarity if recall.misses else None
        closest = "memory holds no resolved incident" if best is None else f"closest similarity {best:.2f}"
        say(f"nothing similar ({closest})")


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show whether memory works, and how much of the database it knows."""
    found = asyncio.run(_status())
    if as_json:
        say_json(TypeAdapter(MemoryStatus).dump_python(found, mode="json"))
    else:
        for line in plain_lines(_status_sheet(found)):
            say(line)
    if found.unavailable is not None:
        raise typer.Exit(EXIT_FAILURE)


@app.command()
def sync() -> None:
    """Bring memory up to date with the incidents in the database."""
    _say_report(asyncio.run(_change("remembering incidents", lambda memory, progress: memory.sync(progress))))


@app.command()
def rebuild() -> None:
    """Build memory anew from the database; the old one serves until the new one is verified."""
    _say_report(asyncio.run(_change("rebuilding memory", lambda memory, progress: memory.rebuild(progress))))


@app.command()
def activate(collection: Collection) -> None:
    """Let an index that was kept serve again, once it is up to date."""
    _say_report(
        asyncio.run(_change("updating memory", lambda memory, _: memory.maintenance.activate(collection)))
    )


@app.command()
def drop(collection: Collection) -> None:
    """Remove an index that is kept beside the one that serves."""
    asyncio.run(_drop(collection))
    say(f"{collection} is dropped")


async def _search(text: str, as_of: datetime | None, limit: int) -> Recall:
    now = utc_now()
    query = RecallQuery(text=check_question(text))
    moment_asked = check_moment(as_of, name="as_of", now=now) or now
    async with opened_memory() as (database, memory), database.read() as session:
        return await memory.recall(session, [query], as_of=moment_asked, limit=limit)


async def _status() -> MemoryStatus:
    async with opened_memory() as (_, memory):
        return await memory.status()


async def _drop(collection: str) -> None:
    async with opened_memory() as (_, memory):
        await memory.maintenance.drop(collection)


async def _change(what: str, change: Callable[[IncidentMemory, Report], Awaitable[SyncReport]]) -> SyncReport:
    async with opened_memory() as (_, memory):
        with progress_bar(what) as progress:
            return await change(memory, progress)


def _say_report(report: SyncReport) -> None:
    say(
        f"{format_count(report.entries, 'incident')} in memory: {report.embedded:,} embedded, "
        f"{report.removed:,} removed; index {report.collection}: {report.upserted:,} written, "
        f"{report.deleted:,} deleted"
    )


def _recollection(found: RecalledIncident) -> TextTable:
    rows: list[Row] = [
        ("target", found.target or "not recorded"),
        (
            "when",
            f"{format_time(found.started_at)} to {format_time(found.resolved_at)} UTC, {found.severity}",
        ),
        ("symptoms", found.symptoms),
        ("cause", found.root_cause or "not recorded"),
        ("fix", found.resolution or "not recorded"),
        ("told by", _told_by(found.provenance, found.status)),
    ]
    if found.recurrences > 1:
        rows.append(("seen", f"{found.recurrences} times, last {format_time(found.last_seen)} UTC"))
    title = f"{found.similarity:.2f}  {found.public_id}  {' '.join(found.title.split())}"
    return TextTable(title=title, rows=tuple(row for row in rows if row[1]))


def _told_by(provenance: str, status: str) -> str:
    """Who wrote cause and fix, and whether anybody vouches for them."""
    return (
        provenance if status == ReviewStatus.APPROVED else f"{provenance}, a draft that nobody has approved"
    )


def _status_sheet(status: MemoryStatus) -> TextTable:
    waiting = f"{format_count(status.waiting, 'change')} to take in"
    if status.waiting_since is not None:
        waiting += f", the oldest since {format_time(status.waiting_since)} UTC"
    rows: list[Row] = [
        ("incidents", f"{status.entries:,}, of which {status.drafts:,} as drafts"),
        ("rejected", f"{status.rejected:,}"),
        ("not found yet", f"{status.lag:,}"),
        ("outbox", waiting),
        ("vectors", "unknown" if status.vectors is None else f"{status.vectors:,}"),
        ("index", status.collection or "none"),
        ("model", status.model_id or "none"),
    ]
    if status.self_hit_rate is not None:
        rows.append(("find themselves", f"{status.self_hit_rate:.0%}"))
    rows += [
        ("kept", f"{each.index.collection} ({each.index.model_id}, {format_time(each.created_at)} UTC)")
        for each in status.kept
        if not each.serves
    ]
    return TextTable(title=f"memory: {status.unavailable or 'ok'}", rows=tuple(rows))
