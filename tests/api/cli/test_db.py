"""`arcpoint db`: a database from nothing to seeded, and what is said of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from models.migrations import head_revision
from tests.support.command_line import Run

ANCHOR = "2026-11-20T08:00Z"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database file that does not exist, in a folder that does not exist."""
    path = tmp_path / "new" / "folder" / "arcpoint.db"
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", f"sqlite:///{path}")
    return path


def test_a_database_is_made_once_and_seeded_once(arcpoint: Run, empty: Path) -> None:
    """Each step can be repeated; a second one changes nothing and says so."""
    assert f"migrated from nothing to schema {head_revision()}" in arcpoint("db", "upgrade").out
    assert f"already at schema {head_revision()}" in arcpoint("db", "upgrade").out
    first = arcpoint("db", "seed", "--seed", "7", "--anchor", ANCHOR)
    assert first.code == 0
    assert first.out.startswith("written: 6 deployments, 10 users, ")
    status = json.loads(arcpoint("db", "status", "--json").out)
    again = arcpoint("db", "seed", "--seed", "7", "--anchor", ANCHOR)
    assert again.out == first.out.replace("written", "already there")
    assert json.loads(arcpoint("db", "status", "--json").out) == status
    assert f", {status['rows']['requests']:,} requests, " in first.out


def test_the_status_counts_what_is_there(arcpoint: Run) -> None:
    """Rows of the main tables, the newest request, and the schema against the one needed."""
    result = arcpoint("db", "status", "--json")
    status = json.loads(result.out)
    assert result.code == 0
    assert status["schema"] == status["needed_schema"] == head_revision()
    assert status["rows"]["deployments"] == 6
    assert status["rows"]["users"] == 10
    assert status["rows"]["incidents"] == 19
    assert 4000 < status["rows"]["requests"] < 9000
    assert status["newest_request"].startswith("2026-11-20T09:2")
    text = arcpoint("db", "status").out
    assert f"{status['rows']['requests']:,}" in text
    assert f"{head_revision()}, up to date" in text


def test_a_database_without_schema_is_told_by_its_status(arcpoint: Run, empty: Path) -> None:
    """Exit code 1 and the command that fixes it; looking creates nothing."""
    result = arcpoint("db", "status")
    assert result.code == 1
    assert f"none, but this version needs {head_revision()}; run `arcpoint db upgrade`" in result.out
    assert not empty.exists()


def test_the_password_is_never_shown(
    arcpoint: Run, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL works as SQLite does, and no output holds the password."""
    url = postgres_url.replace("postgresql://postgres:@", "postgresql://postgres:hidden-word@")
    assert "hidden-word" in url
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", url)
    result = arcpoint("db", "status")
    assert (result.code, result.err) == (0, "")
    assert "hidden-word" not in result.out
    assert "up to date" in result.out


ROLLUPS = ("request_rollups", "user_spend", "quality_rollups")


def test_rollups_are_compared_and_rebuilt(arcpoint: Run, environment: dict[str, str]) -> None:
    """Exit code 1 while a bucket differs, with its name; a day whose requests are gone is refused."""
    path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        for column, *tables in (("created_at", "requests"), ("bucket_start", *ROLLUPS)):
            for table in tables:
                connection.execute(f"DELETE FROM {table} WHERE {column} < '2026-11-19'")  # noqa: S608
    assert arcpoint("db", "rollups").code == 2
    assert arcpoint("db", "rollups", "--verify").code == 0
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE request_rollups SET requests = requests + 1 WHERE resolution = 'minute'")
    found = arcpoint("db", "rollups", "--verify")
    assert found.code == 1
    assert "buckets differ" in found.out
    assert "request_rollups minute 2026-11-2" in found.out
    assert ": rebuilt" in arcpoint("db", "rollups", "--rebuild").out
    assert arcpoint("db", "rollups", "--verify").code == 0
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM requests WHERE id NOT IN (SELECT request_id FROM quality_scores)")
        connection.execute("UPDATE user_spend SET failed = failed + 1")
    refused = arcpoint("db", "rollups", "--rebuild")
    assert refused.code == 1
    assert "not in the log any more; its rollups stay as they are" in refused.out


def test_old_days_are_removed_when_it_is_confirmed(
    arcpoint: Run, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a yes nothing is; with one the newer days stay, and the figures of all."""
    path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")

    def left() -> int:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT count(*) FROM requests").fetchone()[0])

    before, status = left(), arcpoint("db", "status", "--json").out
    assert arcpoint("db", "drop", "--older-than", "soon").code == 2
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    unsure = arcpoint("db", "drop", "--older-than", "1d")
    assert unsure.code == 1
    assert unsure.err.endswith("not confirmed, nothing was done; --yes does not ask\n")
    assert left() == before
    age = f"{(datetime.now(UTC) - datetime.fromisoformat(ANCHOR)).days + 3}d"
    result = arcpoint("db", "drop", "--older-than", age, "--yes")
    assert (result.code, result.err) == (0, "")
    assert "days removed, the last 2026-11-1" in result.out
    assert 0 < left() < before
    assert arcpoint("db", "status", "--json").out == status
    assert "0 days removed" in arcpoint("db", "drop", "--older-than", age, "--yes").out
