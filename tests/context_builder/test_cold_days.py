"""Questions and pages about days that were moved into files."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from context_builder.builder import ContextBuilder
from context_builder.exploration.exploration import Exploration
from context_builder.queries import Page, RequestFilter, recent_requests, request_detail, user_context
from context_builder.question.lookups import Lookups
from context_builder.question.names.row_names import find_row_names
from context_builder.question.request import QuestionInput
from context_builder.source import Section
from models import Deployment, Request, User
from models.database import Database
from models.errors import ColdDayUnreadable
from models.request_log.cold import ColdFiles
from models.request_log.cold.moving import move_days
from tests.support.gateway import SOURCES, Gateway, asking
from tests.support.no_memory import NO_MEMORY
from tests.support.prepared_databases import STORY_ANCHOR
from tests.support.rollup_views import rollups_of

pytest.importorskip("duckdb", reason="cold days need the extra `archive`")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PATIENT = [replace(source, deadline_s=60.0) for source in SOURCES]
READ_THE_LOG = ("requests", "failures", "activity", "drivers", "changes")
EDGE = STORY_ANCHOR.replace(hour=0, minute=0) - 3 * DAY
"""What was before it is moved."""


@pytest.fixture
async def cold(story_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The demo story, with a place for cold days."""
    database = Database(story_url, cold_files=ColdFiles(str(tmp_path / "cold")))
    yield database
    await database.close()


async def _sections(database: Database, named: tuple[int, ...]) -> dict[str, list[Section]]:
    async with database.read() as session:
        users = tuple(await session.scalars(select(User.id).order_by(User.id).limit(3)))
        deployments = tuple(await session.scalars(select(Deployment.id).order_by(Deployment.id).limit(2)))
    old: dict[str, Any] = {"since": EDGE - 2 * DAY, "until": EDGE - DAY}
    across: dict[str, Any] = {"since": EDGE - DAY, "until": EDGE + DAY}
    asked = [
        asking(STORY_ANCHOR, request_ids=named, **across),
        asking(STORY_ANCHOR, tiers=("premium",), **old),
        asking(STORY_ANCHOR, user_ids=users, **across),
        asking(STORY_ANCHOR, deployment_ids=deployments, excluded_user_ids=users[:1], **old),
    ]
    gateway = Gateway(database)
    async with rollups_of(database) as rollups, Exploration(rollups) as exploration:
        stores = gateway._stores(rollups, exploration)
        return {
            source.name: [await source.read(one, stores) for one in asked]
            for source in SOURCES
            if source.name in READ_THE_LOG
        }


async def _pages(database: Database, filters: RequestFilter) -> list[Any]:
    found: list[Any] = []
    page = Page(limit=150)
    while True:
        async with database.read() as session:
            shown = await recent_requests(session, filters, page)
        found += shown.requests
        if shown.next is None:
            return found
        page = Page(limit=150, cursor=shown.next)


FILTERS = [
    RequestFilter(since=EDGE - DAY, until=EDGE + DAY),
    RequestFilter(tiers=("premium",), since=EDGE - DAY),
    RequestFilter(statuses=("error", "timeout"), models=("gpt-4",)),
    RequestFilter(since=STORY_ANCHOR - HOUR),
]


async def _seen_of(database: Database, ids: tuple[int, ...], names: list[str]) -> list[Any]:
    async with database.read() as session:
        details = [await request_detail(session, name, as_of=STORY_ANCHOR) for name in names]
        text = f"Why was request {names[0]} slow?"
        mentions = await find_row_names(text, STORY_ANCHOR, Lookups.of(session), ())
        user = await user_context(session, details[0].request.user, as_of=EDGE - DAY)
    pages = [await _pages(database, filters) for filters in FILTERS]
    return [await _sections(database, ids), details, mentions, user, pages]


@pytest.mark.both_databases
async def test_what_is_said_of_old_days_is_the_same_after_they_were_moved(cold: Database) -> None:
    """Facts of all sources, examples, drill-downs, details with scores, and pages across the edge."""
    async with cold.read() as session:
        oldest = select(Request.id, Request.public_id).order_by(Request.created_at).offset(40).limit(3)
        rows = (await session.execute(oldest)).all()
    ids, names = tuple(row[0] for row in rows), [row[1] for row in rows]
    before = await _seen_of(cold, ids, names)
    assert any(pages for pages in before[-1])
    assert before[2]
    moved = await move_days(cold, before=EDGE)
    assert sum(one.rows for one in moved) > 1_000
    after = await _seen_of(cold, ids, names)
    for was, now in zip(before, after, strict=True):
        assert now == was


async def test_pages_list_each_request_once_where_both_places_have_some(
    cold: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that stops early in files does not show what the database has beyond, nor leave it out."""
    await move_days(cold, before=EDGE)
    gateway = Gateway(cold)
    await gateway.deployment("late/late")
    await gateway.user("user_late")
    await gateway.send(*(EDGE - n * 5 * HOUR for n in range(1, 20)), user="user_late", deployment="late/late")
    filters = RequestFilter(tiers=("premium",))
    whole = await _pages(cold, filters)
    # A function of this name hides the module.
    monkeypatch.setattr(sys.modules[RequestFilter.__module__], "MAX_ROWS_SCANNED", 300)
    assert await _pages(cold, filters) == whole
    assert sum(each.user == "user_late" for each in whole) == 19
    assert [each.created_at for each in whole] == sorted((each.created_at for each in whole), reverse=True)


async def test_a_broken_file_is_named_and_fails_no_question(cold: Database, tmp_path: Path) -> None:
    """The source that needed it says which, other sources answer, and so do questions about newer days."""
    moved = await move_days(cold, before=EDGE)
    for one in moved:
        (tmp_path / "cold" / one.path).write_bytes(b"PAR1 nothing PAR1")
    builder = ContextBuilder(cold, NO_MEMORY, PATIENT, default_budget=8_000, clock=lambda: STORY_ANCHOR)

    async def failed(since: datetime, until: datetime) -> dict[str, str]:
        ask = QuestionInput(question="Which requests failed?", since=since, until=until)
        context = await builder.build(ask)
        return {each.name: each.error or "" for each in context.manifest.sources if each.status == "error"}

    old = await failed(EDGE - DAY, EDGE)
    assert f"{moved[-1].path} cannot be read" in old["requests"]
    assert "volume" not in old
    assert "requests" not in await failed(EDGE + DAY, STORY_ANCHOR)
    async with cold.read() as session:
        with pytest.raises(ColdDayUnreadable, match=r"^the cold day .*\.parquet cannot be read: "):
            await request_detail(session, "req_unknown")
    (tmp_path / "cold" / moved[0].path).unlink()
    async with cold.read() as session:
        with pytest.raises(ColdDayUnreadable, match=moved[0].path):
            await recent_requests(session, RequestFilter(until=moved[0].day + DAY))


async def test_without_duckdb_it_is_said_what_to_install(
    cold: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without a place, which setting is missing; a database without cold days needs neither."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    other = Database(cold.url.render_as_string(hide_password=False))
    async with cold.read() as session, other.read() as bare:
        assert (await recent_requests(session)).requests
        assert (await recent_requests(bare)).requests
    monkeypatch.undo()
    await move_days(cold, before=EDGE)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    fresh = Database(
        cold.url.render_as_string(hide_password=False), cold_files=ColdFiles(str(tmp_path / "cold"))
    )
    async with fresh.read() as session, other.read() as bare:
        with pytest.raises(ColdDayUnreadable, match=r"pip install 'arcpoint\[archive\]'"):
            await request_detail(session, "req_unknown")
        with pytest.raises(ColdDayUnreadable, match="ARCPOINT_COLD_PATH"):
            await request_detail(bare, "req_unknown")
    await fresh.close()
    await other.close()
