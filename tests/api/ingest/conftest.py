"""Small data files, and what the database holds after they are loaded."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from api.ingest import IngestSummary, RequestRecord, ingest_file, load_mapping
from api.ingest.records import Record
from models import Deployment, Incident, Request, RequestRollup, User, UserSpend
from models.database import Database
from tests.support.http_service import client_of, running, settings_of, without_memory

Contents = dict[str, list[tuple[Any, ...]]]
Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "log.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(line + end for line in lines).encode("utf-8", "surrogateescape"))
        return path

    return write


@pytest.fixture
def header() -> str:
    return "created_at,user,tier,model,backend,status,latency_ms"


@pytest.fixture
def request_line() -> Callable[..., str]:
    """A CSV line below `header`; line `number` is one second after the one before."""

    def line(number: int = 1, **changes: str) -> str:
        values = {
            "created_at": f"2026-01-01 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            "user": f"user_{number % 7}",
            "tier": "premium",
            "model": f"gpt-{number % 3}",
            "backend": "aws",
            "status": "error" if number % 5 == 0 else "success",
            "latency_ms": str(number),
        }
        return ",".join({**values, **changes}.values())

    return line


@pytest.fixture
def write_log(write_file: Callable[..., Path], header: str) -> Callable[..., Path]:
    """Writes a CSV file of request lines below the header."""
    return lambda *lines, **options: write_file(header, *lines, **options)


@pytest.fixture
def load(database: Database) -> Callable[..., Awaitable[IngestSummary]]:
    """Loads a file; each field comes from the column of its own name unless settings say otherwise."""

    async def run(
        path: Path, *settings: str, record_type: type[Record] = RequestRecord, **options: Any
    ) -> IngestSummary:
        # The zone database is on disk.
        mapping = await asyncio.to_thread(load_mapping, record_type, settings=settings)
        return await ingest_file(database, path, mapping, **options)

    return run


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "log.rejects.jsonl"


@pytest.fixture
def read_rejects(rejects: Path) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in rejects.read_text(encoding="utf-8").split("\n") if line]

    return read


@pytest.fixture
async def copied_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A second empty database, to compare with."""
    path = tmp_path / "arcpoint.db-copy"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    await database.close()


@pytest.fixture
def contents() -> Callable[[Database], Awaitable[Contents]]:
    """Everything that loads write, without database ids, so that two databases can be compared."""
    queries = {
        "requests": select(
            Request.public_id, Request.created_at, User.public_id, Deployment.public_id, Request.status,
            Request.error_code, Request.latency_ms, Request.cost_usd, Request.task_type,
        )
        .join(User, User.id == Request.user_id)
        .join(Deployment, Deployment.id == Request.deployment_id),
        "users": select(User.public_id, User.tier, User.daily_budget_usd, User.created_at, User.updated_at),
        "deployments": select(
            Deployment.public_id, Deployment.model, Deployment.backend, Deployment.status,
            Deployment.created_at, Deployment.updated_at,
        ),
        "rollups": select(
            RequestRollup.resolution, RequestRollup.bucket_start, Deployment.public_id, RequestRollup.tier,
            RequestRollup.status, RequestRollup.requests, RequestRollup.latency_sum_ms,
            RequestRollup.latency_histogram, RequestRollup.cost_usd,
        ).join(Deployment, Deployment.id == RequestRollup.deployment_id),
        "spend": select(
            UserSpend.resolution, UserSpend.bucket_start, User.public_id, UserSpend.requests,
            UserSpend.failed, UserSpend.cost_usd,
        ).join(User, User.id == UserSpend.user_id),
        "incidents": select(Incident.public_id, Incident.title, Incident.severity, Incident.started_at),
    }  # fmt: skip

    async def read(database: Database) -> Contents:
        async with database.write() as session:
            return {
                name: sorted(map(tuple, await session.execute(query)), key=repr)
                for name, query in queries.items()
            }

    return read


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings of the service that a test states itself."""
    return {}


@pytest.fixture
async def app(database_url: str, tmp_path: Path, changes: dict[str, Any]) -> AsyncIterator[FastAPI]:
    settings = settings_of(database_url, tmp_path, memory_path=without_memory(tmp_path), **changes)
    async with running(settings) as app:
        yield app


@pytest.fixture
async def post(app: FastAPI) -> AsyncIterator[Post]:
    """Posts a body to a kind of record or a receiver."""
    async with client_of(app) as client:

        async def send(name: str, content: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            sent = {"content-type": "application/json"} | given
            return await client.post(f"/v1/ingest/{name}", content=content, headers=sent)

        yield send
