"""A database that release 0.1.0 made: upgraded without loss, replayed and asked."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.llm.pricing import PriceList
from context_builder.prompt.render import render
from context_builder.question.request import QuestionInput
from models.database import Database
from models.migrations import head_revision, upgrade
from tests.support.gateway import NOON, SOURCES
from tests.support.no_memory import NO_MEMORY
from tests.support.user_failures import counted, rolled_up

pytestmark = pytest.mark.database
DATA = Path(__file__).parent / "data"
DUMP = DATA / "release_0_1_0.sql"
QUESTION = "Why is gpt-4/aws slow, and has this happened before?"
PRICES = PriceList.load()
PATIENT = [replace(source, deadline_s=60.0) for source in SOURCES]
NOT_DATA = {"alembic_version", "sqlite_sequence"}

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def old_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database as 0.1.0 left it."""
    path = tmp_path_factory.mktemp("release") / "release.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text("utf-8"))
    return path


@pytest.fixture
def path(old_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(old_path, tmp_path / "upgraded.db"))


@pytest.fixture
async def upgraded(path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{path}")
    await upgrade(database)
    yield database
    await database.close()


def rows_of(path: Path) -> Rows:
    """Return all rows of a database by table, in the order of their keys."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]  # noqa: S608
            for (name,) in names.fetchall()
            if name not in NOT_DATA
        }


def inserted(dump: str) -> Iterator[str]:
    """Yield the table of each INSERT of a dump."""
    return (match[1] for match in re.finditer(r'^INSERT INTO "(\w+)"', dump, re.MULTILINE))


def minutes_of(hours: list[dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Yield start, user, requests and nano-dollars of each minute of the hours of users."""
    for hour in hours:
        for minute, requests, _, nano in json.loads(hour["minutes"]):
            start = f"{hour['bucket_start'][:14]}{minute:02}:00.000000"
            yield start, hour["user_id"], requests, nano


async def test_an_upgrade_loses_no_row_and_no_value(upgraded: Database, path: Path, old_path: Path) -> None:
    """Every row of every table of 0.1.0 is there after the upgrade, with each of its values."""
    before, after = rows_of(old_path), rows_of(path)
    assert await upgraded.revision() == head_revision()
    tables = list(inserted(DUMP.read_text("utf-8")))
    assert {name: len(rows) for name, rows in before.items() if rows} == {
        name: tables.count(name) for name in set(tables) - NOT_DATA
    }
    assert len(before["requests"]) >= 200
    assert len(before["postmortems"]) == len(before["postmortem_batches"]) == 2
    # The minutes of users are no rows any more.
    of_minutes = [row for row in before["user_spend"] if row["resolution"] == "minute"]
    before["user_spend"] = [row for row in before["user_spend"] if row["resolution"] == "hour"]
    assert sorted(minutes_of(after["user_spend"])) == sorted(
        tuple(row[name] for name in ("bucket_start", "user_id", "requests", "cost_nanousd"))
        for row in of_minutes
    )
    for name, rows in before.items():
        # Of rollups there are more: those of ten minutes.
        there = [row for row in after[name] if row.get("resolution") != "10_minutes"]
        kept = [{column: row[column] for column in rows[0]} for row in there] if rows else there
        assert kept == rows, name


async def test_failures_of_users_are_counted(upgraded: Database) -> None:
    """Every bucket by user has the failed requests that the log of 0.1.0 has."""
    found = await rolled_up(upgraded)
    assert found == await counted(upgraded)
    assert sum(failed for _, failed in found.values()) > 50


async def test_a_stored_manifest_replays_its_prompt(upgraded: Database) -> None:
    """The facts that 0.1.0 sent to the model are rendered again, byte for byte."""
    (row,) = rows_of(Path(upgraded.url.database or ""))["questions"]
    manifest = await QuestionLog(upgraded).manifest(str(row["public_id"]))
    assert manifest is not None
    prompt = render(manifest)
    assert prompt.stable + prompt.user == (DATA / "release_0_1_0_prompt.txt").read_text("utf-8")


async def test_questions_can_be_asked_and_are_logged_beside_the_old_ones(upgraded: Database) -> None:
    """Every source but memory reads the upgraded database, and the answer cites its rows."""
    builder = ContextBuilder(upgraded, NO_MEMORY, PATIENT, default_budget=8_000, clock=lambda: NOON)
    answerer = Answerer(builder, QuestionLog(upgraded), None, clock=lambda: NOON)
    answer = await answerer.answer(QuestionInput(question=QUESTION))
    failed = {entry.name for entry in answer.manifest.sources if entry.status == "error"}
    assert failed == {"recall"}
    assert "inc_4" in answer.text
    assert len(rows_of(Path(upgraded.url.database or ""))["questions"]) == 2
