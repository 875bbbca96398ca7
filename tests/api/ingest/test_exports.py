"""Exports of other gateways come in with the mappings of docs/examples/exports, Parquet as what it holds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api.ingest import IngestSummary, InputError, RequestRecord, ingest_file, load_mapping
from models import Deployment, Request, User
from models.database import Database

Load = Callable[..., Awaitable[IngestSummary]]
NOON = datetime(2026, 11, 20, 9, tzinfo=UTC)
EXPORTS = {
    "litellm_spend_logs": "gpt-4o-mini/openai",
    "openrouter": "openai/gpt-4o/Azure",
    "helicone": "gpt-4o-mini/OPENAI",
    "langfuse": "gpt-4o-mini/langfuse",
    "cloudflare": "gpt-4o-mini/openai",
    "portkey": "gpt-4o-mini/openai",
}
NAMELESS = {"cloudflare": "gateway"}
"""Users of exports that name none."""


async def requests(database: Database) -> list[tuple[Any, ...]]:
    async with database.write() as session:
        rows = await session.execute(
            select(
                Request.created_at, User.public_id, Deployment.public_id, Request.status, Request.latency_ms,
                Request.cost_usd, Request.prompt_tokens, Request.completion_tokens,
            )
            .join(User, User.id == Request.user_id)
            .join(Deployment, Deployment.id == Request.deployment_id)
            .order_by(Request.created_at)
        )  # fmt: skip
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("name", EXPORTS)
async def test_an_export_is_loaded_with_its_mapping(database: Database, repository: Path, name: str) -> None:
    """Time, user, deployment, outcome, latency, cost and tokens of a call that succeeded, and a failure."""
    folder = repository / "docs" / "examples" / "exports"
    mapping = await asyncio.to_thread(load_mapping, RequestRecord, folder / f"{name}.toml")
    (sample,) = [
        path for path in await asyncio.to_thread(list, folder.glob(f"{name}.*")) if path.suffix != ".toml"
    ]
    summary = await ingest_file(database, sample, mapping)
    assert (summary.added, summary.reasons) == (2, {})
    first, second = await requests(database)
    user = NAMELESS.get(name, "ann")
    moment = NOON + timedelta(milliseconds=250)
    assert first == (moment, user, EXPORTS[name], "success", 1250, Decimal("0.00042"), 100, 40)
    assert (second[0], second[3], second[4]) == (NOON + timedelta(seconds=5), "error", 30_000)
    assert second[1] == NAMELESS.get(name, "unknown")


def test_every_mapping_is_tested(repository: Path) -> None:
    """A new one needs a sample and its row above."""
    assert {path.stem for path in (repository / "docs" / "examples" / "exports").iterdir()} == set(EXPORTS)


HOLDS = """
COPY (
    SELECT 'r' || i AS id, TIMESTAMPTZ '2026-11-20 09:00:00+00' + i * INTERVAL 1 SECOND AS created_at,
           CASE WHEN i = 7 THEN NULL ELSE 'ann' END AS user, 'premium' AS tier, 'gpt-4' AS model,
           'aws' AS backend, CASE WHEN i = 8 THEN 'OK' ELSE 'success' END AS status, 250 + i AS latency_ms,
           CAST(0.000000123 AS DECIMAL(18, 9)) AS cost_usd, {{'total': i}} AS usage
    FROM range({rows}) t(i)
) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 4096)
"""
LISTS = """
COPY (SELECT * REPLACE ([model] AS model, {{'is': backend}} AS backend) FROM '{path}')
TO '{lists}' (FORMAT parquet)
"""


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[[int], Path]:
    """A file of requests of which one has no user and one an unknown status."""
    duckdb = pytest.importorskip("duckdb")

    def write(rows: int) -> Path:
        path = tmp_path / "log.parquet"
        duckdb.sql(HOLDS.format(rows=rows, path=path))
        return path

    return write


async def test_parquet_is_what_it_holds(
    database: Database, parquet: Callable[[int], Path], load: Load, rejects: Path,
    read_rejects: Callable[[], list[dict[str, Any]]],
) -> None:  # fmt: skip
    """Times, money and nested columns are exact; rows count from 1, and bad ones are rejected alone."""
    path = await asyncio.to_thread(parquet, 3_000)
    seen: list[tuple[int, int]] = []
    summary = await load(
        path, "prompt_tokens=usage.total", rejects=rejects,
        progress=lambda progress: seen.append((progress.position, progress.size)),
    )  # fmt: skip
    assert (summary.added, summary.rejected) == (2_998, 2)
    assert [each["line"] for each in await asyncio.to_thread(read_rejects)] == [8, 9]
    found = await requests(database)
    expected = (NOON + timedelta(seconds=9), "ann", "gpt-4/aws", "success", 259, Decimal("1.23e-7"), 9, None)
    assert found[7] == expected
    assert seen[-1][0] == seen[-1][1] > seen[0][0] > 0
    again = await load(path, "prompt_tokens=usage.total", rejects=rejects)
    assert (again.added, again.already_present) == (0, 2_998)


async def test_a_list_is_no_name(
    parquet: Callable[[int], Path],
    load: Load,
    rejects: Path,
    read_rejects: Callable[[], list[dict[str, Any]]],
) -> None:
    """Arrays and objects are rejected as live ingestion rejects them: with row, field and reason."""
    path = await asyncio.to_thread(parquet, 3)
    lists = path.with_name("lists.parquet")
    await asyncio.to_thread(sys.modules["duckdb"].sql, LISTS.format(path=path, lists=lists))
    summary = await load(lists, rejects=rejects)
    assert (summary.added, summary.rejected) == (0, 3)
    first, *_ = await asyncio.to_thread(read_rejects)
    assert first["line"] == 1
    assert first["reason"] == """model: not text: "['gpt-4']"; backend: not text: "{'is': 'aws'}\""""


async def test_a_parquet_file_that_cannot_be_read_is_named(
    parquet: Callable[[int], Path], load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, garbage after the first bytes, empty; and what to install where DuckDB is missing."""
    path = await asyncio.to_thread(parquet, 100)
    whole = await asyncio.to_thread(path.read_bytes)
    for content in (whole[:-20], b"PAR1" + b"\0" * 100):
        broken = tmp_path / "broken.parquet"
        await asyncio.to_thread(broken.write_bytes, content)
        with pytest.raises(InputError, match="cannot be read as Parquet"):
            await load(broken)
    with pytest.raises(InputError, match="no rows follow"):
        await load(await asyncio.to_thread(parquet, 0))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InputError, match=r"pip install 'arcpoint\[archive\]'"):
        await load(path)
