"""Archives in a folder as tests write them, and what the database holds after they are imported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from api.archive import ImportSummary
from models import Incident, MemoryOutbox, Postmortem
from models.database import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Import = Callable[..., Awaitable[ImportSummary]]


@dataclass
class Archive:
    """A folder of files."""

    path: Path

    def write(self, name: str, *lines: str | bytes) -> Path:
        """A file with these lines."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"".join(line if isinstance(line, bytes) else f"{line}\n".encode() for line in lines)
        )
        return path

    def front(self, name: str, *lines: str, text: str = "", **changes: str) -> Path:
        """A file whose front matter is a whole incident with changes, and then these lines."""
        given = {
            "id": "inc_1", "title": "Slow", "severity": "high", "started_at": "2026-01-01T10:00Z",
            "resolved_at": "2026-01-01T11:00Z",
        }  # fmt: skip
        members = [f"{key}: {value}" for key, value in (given | changes).items() if value]
        return self.write(name, "---", *members, *lines, "---", "", text)


def numbers(summary: ImportSummary) -> tuple[int, int, int, int]:
    """Added, updated, unchanged and rejected."""
    return summary.added, summary.updated, summary.unchanged, len(summary.rejected)


async def stored(database: Database) -> dict[str, Incident]:
    async with database.read() as session:
        return {row.public_id: row for row in await session.scalars(select(Incident))}


async def postmortems(database: Database) -> dict[str, Postmortem]:
    async with database.read() as session:
        rows = await session.execute(
            select(Incident.public_id, Postmortem).join(Postmortem, Postmortem.incident_id == Incident.id)
        )
        return {name: row for name, row in rows}  # noqa: C416  a row is no pair to a type checker


async def emptied_outbox(database: Database) -> int:
    """How much was queued for memory, which is nothing after that."""
    async with database.write() as session:
        return len((await session.scalars(delete(MemoryOutbox).returning(MemoryOutbox.id))).all())


async def change(database: Database, rows: Iterable[Any], **columns: Any) -> None:
    async with database.write() as session:
        for row in rows:
            merged = await session.merge(row)
            for name, value in columns.items():
                setattr(merged, name, value)
