"""`arcpoint memory`: searches and maintains incident memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer

from api.cli.failure import EXIT_FAILURE
from api.cli.memory import archive as memory_archive
from api.cli.memory import forget as memory_forget
from api.cli.memory import review as memory_review
from api.cli.memory.session import memory_session
from api.cli.options import AsJson, AsOf
from api.cli.terminal.json_output import say_json
from api.cli.terminal.progress_bar import Report, progress_bar
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import Row, TextTable, plain_lines
from api.http.json_body import to_document
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

Collection = Annotated[
    str, typer.Argument(metavar="INDEX", help="Name of the index, as shown by `memory status`.")
]


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Text to find similar past incidents for.")],
    as_of: AsOf = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="Maximum number of incidents.")] = 5,
    *,
    as_json: AsJson = False,
) -> None:
    """Find resolved incidents similar to a text."""
    recall = asyncio.run(_search(text, as_of, limit))
    if as_json:
        say_json(to_document(recall))
        return
    for recollection in recall.recollections:
        for line in plain_lines(_recalled_table(recollection)):
            say(line)
        say()
    if not recall.recollections:
        best = recall.misses[0].best_similarity if recall.misses else None
        closest = "memory holds no resolved incident" if best is None else f"closest similarity {best:.2f}"
        say(f"nothing similar ({closest})")


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show whether memory works, and how much of the database it covers."""
    found = asyncio.run(_status())
    if as_json:
        say_json(to_document(found))
    else:
        for line in plain_lines(_status_table(found)):
            say(line)
    if found.unavailable is not None:
        raise typer.Exit(EXIT_FAILURE)


@app.command()
def sync() -> None:
    """Bring memory up to date with the incidents in the database."""
    _say_report(asyncio.run(_change("updating memory", lambda memory, progress: memory.sync(progress))))


@app.command()
def rebuild() -> None:
    """Rebuild memory from the database; the old index serves until the new one is verified."""
    _say_report(asyncio.run(_change("rebuilding memory", lambda memory, progress: memory.rebuild(progress))))


@app.command()
def activate(collection: Collection) -> None:
    """Make a kept index serve again, after bringing it up to date."""
    _say_report(
        asyncio.run(_change("updating memory", lambda memory, _: memory.maintenance.activate(collection)))
    )


@app.command()
def drop(collection: Collection) -> None:
    """Delete a kept index; the one that serves cannot be deleted."""
    asyncio.run(_drop(collection))
    say(f"{collection} dropped")


async def _search(text: str, as_of: datetime | None, limit: int) -> Recall:
    now = utc_now()
    query = RecallQuery(text=check_question(text))
    as_of_time = check_moment(as_of, name="as_of", now=now) or now
    async with memory_session() as (database, memory), database.read() as session:
        return await memory.recall(session, [query], as_of=as_of_time, limit=limit)


async def _status() -> MemoryStatus:
    async with memory_session() as (_, memory):
        return await memory.status()


async def _drop(collection: str) -> None:
    async with memory_session() as (_, memory):
        await memory.maintenance.drop(collection)


async def _change(what: str, change: Callable[[IncidentMemory, Report], Awaitable[SyncReport]]) -> SyncReport:
    async with memory_session() as (_, memory):
        with progress_bar(what) as progress:
            return await change(memory, progress)


def _say_report(report: SyncReport) -> None:
    say(
        f"{format_count(report.entries, 'incident')} in memory: {report.embedded:,} embedded, "
        f"{report.removed:,} removed; index {report.collection}: {report.upserted:,} written, "
        f"{report.deleted:,} deleted"
    )


def _recalled_table(found: RecalledIncident) -> TextTable:
    rows: list[Row] = [
        ("target", found.target or "not recorded"),
        (
            "when",
            f"{format_time(found.started_at)} to {format_time(found.resolved_at)} UTC, {found.severity}",
        ),
        ("symptoms", found.symptoms),
        ("cause", found.root_cause or "not recorded"),
        ("fix", found.resolution or "not recorded"),
        ("written by", _author(found.provenance, found.status)),
    ]
    if found.recurrences > 1:
        rows.append(("occurred", f"{found.recurrences} times, last {format_time(found.last_seen)} UTC"))
    title = f"{found.similarity:.2f}  {found.public_id}  {' '.join(found.title.split())}"
    return TextTable(title=title, rows=tuple(row for row in rows if row[1]))


def _author(provenance: str, status: str) -> str:
    """Return the author of cause and fix, and whether a reviewer approved them."""
    return provenance if status == ReviewStatus.APPROVED else f"{provenance}, an unapproved draft"


def _status_table(status: MemoryStatus) -> TextTable:
    waiting = f"{format_count(status.waiting, 'pending change')}"
    if status.waiting_since is not None:
        waiting += f", the oldest from {format_time(status.waiting_since)} UTC"
    rows: list[Row] = [
        ("incidents", f"{status.entries:,}, {status.drafts:,} of them drafts"),
        ("rejected", f"{status.rejected:,}"),
        ("not indexed yet", f"{status.lag:,}"),
        ("outbox", waiting),
        ("vectors", "unknown" if status.vectors is None else f"{status.vectors:,}"),
        ("index", status.collection or "none"),
        ("model", status.model_id or "none"),
    ]
    if status.self_hit_rate is not None:
        rows.append(("self-recall", f"{status.self_hit_rate:.0%}"))
    rows += [
        ("kept", f"{each.index.collection} ({each.index.model_id}, {format_time(each.created_at)} UTC)")
        for each in status.kept
        if not each.serves
    ]
    return TextTable(title=f"memory: {status.unavailable or 'ok'}", rows=tuple(rows))
