"""DuckDB holds up nobody: reads end with who waits for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models.errors import ColdDayUnreadable
from models.request_log.cold import ColdFiles, files

pytest.importorskip("duckdb", reason="cold days need the extra `archive`")

ENDLESS = "SELECT sum(sqrt(n)) FROM range(1000000000000) AS numbers (n)"


async def test_a_read_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own deadline or its caller's, without blocking the loop; the next read finds a free turn."""
    place = ColdFiles(str(tmp_path))
    assert await place.rows([], lambda _: "SELECT 1") == [(1,)]
    monkeypatch.setattr(files, "DEADLINE_S", 0.05)
    for _ in range(files.MAX_AT_ONCE):
        with pytest.raises(ColdDayUnreadable, match=r"were not read within 0\.05 s"):
            await place.rows([], lambda _: ENDLESS)
    monkeypatch.undo()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await place.rows([], lambda _: ENDLESS)
    assert await place.rows([], lambda _: "SELECT 2") == [(2,)]


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An error of DuckDB is ours: what moves days every hour tries again, and a command has no traceback."""
    target = files.quoted(str(tmp_path / "none" / "day.parquet"))
    with pytest.raises(ColdDayUnreadable, match=rf"^cold days in {tmp_path}: IO Error: "):
        await ColdFiles(str(tmp_path)).run(lambda cursor: cursor.execute(f"COPY (SELECT 1) TO {target}"))


async def test_a_bucket_without_the_extensions_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extensions are not fetched by themselves; the message says what to install or set instead."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where they would be
    with pytest.raises(ColdDayUnreadable, match=r"^s3://bucket/log needs DuckDB's extensions httpfs and aws"):
        await ColdFiles("s3://bucket/log/").rows([], lambda _: "SELECT 1")
