"""The bench's databases hold what the product itself would have written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select

from context_builder.builder import ContextBuilder
from context_builder.question.request import QuestionInput
from context_builder.source import Status
from context_builder.sources import discover
from models import Deployment, QualityScore, Request, RequestRollup, User, UserSpend
from models.database import Database
from models.request_log import append
from tests.bench.history import fill_history
from tests.bench.large import fill, new_requests
from tests.support.no_memory import NO_MEMORY
from tests.support.prepared_databases import STORY_ANCHOR

SOURCES = [source for source in discover() if source.name != "recall"]
REQUESTS = 2_000
SPAN = timedelta(hours=3)
END = STORY_ANCHOR + timedelta(seconds=17)


async def rows(database: Database) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of the log and its rollups, by public ids where its own number says nothing."""
    contents = {}
    async with database.read() as session:
        named = await session.execute(select(Request.id, Request.public_id))
        public = {row.id: row.public_id for row in named}
        for table in (Request, RequestRollup, UserSpend):
            columns = [column for column in table.__mapper__.columns if column.name not in ("id", "stamp")]
            found = [row._asdict() for row in await session.execute(select(*columns))]
            for row in found:
                row["slowest_request_id"] = public.get(row.get("slowest_request_id"))
                row.pop("routing_reason", None)
            contents[table.__tablename__] = {tuple(row.values()) for row in found}
            assert len(contents[table.__tablename__]) == len(found) > 0
    return contents


async def test_the_fast_way_writes_what_append_writes(database: Database) -> None:
    """Filling by whole hours gives the requests, rollups and spend of `append` in batches across hours."""
    await fill(database, REQUESTS, END, SPAN)
    fast = await rows(database)
    async with database.write() as session:
        for table in (RequestRollup, UserSpend, Request):
            await session.execute(delete(table))
        deployments = list(await session.scalars(select(Deployment.id).order_by(Deployment.id)))
        users = [(one.id, one.tier) for one in await session.scalars(select(User).order_by(User.id))]
    requests = list(new_requests(REQUESTS, END, SPAN, deployments, users))
    for start in range(0, REQUESTS, 301):
        async with database.write() as session:
            await append(session, requests[start : start + 301])
    assert await rows(database) == fast


async def test_every_source_finds_something_to_read(database: Database) -> None:
    """The history that the bench adds is written whole, and no source fails on it."""
    await fill(database, REQUESTS, END)
    await fill_history(database, END, scale=0.05)
    async with database.read() as session:
        scores = await session.scalar(select(func.count()).select_from(QualityScore))
    assert (scores or 0) > REQUESTS * 0.9
    builder = ContextBuilder(database, NO_MEMORY, SOURCES, default_budget=8000, clock=lambda: END)
    question = "What is wrong or at risk, today compared with yesterday?"
    built = await builder.build(QuestionInput(question=question))
    said = {entry.name: entry.status for entry in built.manifest.sources}
    silent = {name for name, status in said.items() if status is not Status.OK}
    # Nothing is unusual, nothing similar, there are no hours and no status pages; but much has changed.
    assert silent <= {"activity", "calm", "knowledge", "providers", "schedule"}
