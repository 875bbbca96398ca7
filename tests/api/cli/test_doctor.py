"""`arcpoint doctor`: each planted fault is found, says how to fix it, and looking changes nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.loopback.messages_api import MessagesApi
from tests.support.command_line import Run
from tests.support.http_service import ServiceProcess, settings_of, without_memory

Findings = dict[str, dict[str, str]]


def findings(arcpoint: Run, *options: str) -> tuple[int, Findings]:
    """The exit code, and the worst finding of each check."""
    result = arcpoint("doctor", "--json", *options)
    order = ["ok", "warning", "problem"]
    found = sorted(json.loads(result.out), key=lambda each: order.index(each["level"]))
    assert all(each["fix"] for each in found if each["level"] != "ok"), found
    return result.code, {each["check"]: each for each in found}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the shared memory of SQLite, which readers use too."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_it_finds_what_is_planted_and_changes_nothing(
    arcpoint: Run, tmp_path: Path, with_model: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unread variables, memory, backlog, silence, clocks, rejects, prices; without a call to the model."""
    monkeypatch.setenv("ARCPOINT_MODLE", "claude")
    monkeypatch.setenv("ARCPOINT_MODEL", "no-such-model")
    ahead = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}"
    with closing(sqlite3.connect(tmp_path / "story.db")) as connection, connection:
        connection.execute("UPDATE memory_outbox SET queued_at = '2026-11-20 08:00:00.000000'")
        connection.execute("DROP TRIGGER refuse_audit_delete")
        connection.execute("UPDATE health_checks SET checked_at = ? WHERE id = 1", (ahead,))
        connection.execute(
            "INSERT INTO ingest_rejects (received_at, source, item, field, reason) "
            "VALUES (datetime('now'), 'litellm', 0, 'model', 'missing')"
        )
    before = contents(tmp_path)
    code, found = findings(arcpoint)
    assert code == 1
    found.pop("disk")  # that of the machine that runs the tests
    assert {name: each["level"] for name, each in found.items() if each["level"] != "ok"} == {
        "settings": "warning",  # ARCPOINT_MODLE
        "outbox": "warning",  # nobody has ever followed the story
        "memory": "problem",  # its folder is a file
        "audit trail": "problem",
        "requests": "warning",  # of 20 November
        "health": "problem",  # of tomorrow
        "rejects of litellm": "warning",
        "prices": "problem",
        "service": "warning",
    }
    assert "ARCPOINT_MODLE" in found["settings"]["text"]
    assert "model: missing" in found["rejects of litellm"]["text"]
    assert contents(tmp_path) == before
    assert with_model.messages == []


def test_a_call_is_made_only_if_it_is_asked_for(arcpoint: Run, with_model: MessagesApi) -> None:
    """One small one, through the ledger like any other."""
    assert "call" not in findings(arcpoint)[1]
    assert findings(arcpoint, "--call")[1]["call"]["level"] == "ok"
    assert len(with_model.messages) == 1


@pytest.mark.parametrize(
    ("name", "value", "check", "told"),
    [
        ("TOKEN_BUDGET", "many", "settings", "ARCPOINT_TOKEN_BUDGET='many'"),
        ("DATABASE_URL", "sqlite:////none/none.db", "database", "arcpoint db upgrade"),
        ("DATABASE_URL", "nonsense", "database", "sqlite:///"),
    ],
)
def test_without_settings_or_database_it_says_so_and_goes_on(
    arcpoint: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, told: str
) -> None:
    """Never a traceback: what cannot be checked is not mentioned."""
    monkeypatch.setenv(f"ARCPOINT_{name}", value)
    code, found = findings(arcpoint)
    assert (code, found[check]["level"]) == (1, "problem")
    assert told in found[check]["text"]
    assert ("egress" in found) == (check == "database")


@pytest.mark.parametrize(("after", "level"), [("0", "ok"), ("30", "problem")])
def test_a_bucket_that_cannot_be_used_is_found_before_a_day_is_moved(
    arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, level: str
) -> None:
    """Extensions of DuckDB are no package; who moves nothing needs none."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where they would be
    monkeypatch.setenv("ARCPOINT_COLD_PATH", "s3://bucket/log")
    monkeypatch.setenv("ARCPOINT_COLD_AFTER_D", after)
    found = findings(arcpoint)[1]["cold days"]
    assert found["level"] == level
    assert ("httpfs" in found["text"]) == (level == "problem")


@pytest.mark.process
async def test_it_asks_the_running_service(
    arcpoint: Run, sqlite_story_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service that owns the folder says how memory is, and which posts were not stored."""
    settings = settings_of(sqlite_story_url, tmp_path, memory_path=without_memory(tmp_path))
    async with ServiceProcess(settings) as served:
        async with served.client() as client:
            headers = {"content-type": "application/json"}
            await client.post("/v1/ingest/requests", content=b"\xff", headers=headers)
        monkeypatch.setenv("ARCPOINT_SERVICE_URL", served.url)
        _, found = await asyncio.to_thread(findings, arcpoint)
    assert found["service"]["text"] == f"{served.url} is degraded"
    assert found["memory"]["level"] == "problem"
    assert "requests were not stored: BodyUnreadable" in found["ways in"]["text"]
