"""An export holds every incident that was not forgotten, whole or not at all, and goes in again unchanged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.archive import ArchiveError, export_archive, exporter
from models import Incident, Postmortem
from models.database import Database
from tests.support.archives import NOW, Import, emptied_outbox, numbers, postmortems, stored

IDS = ["inc_1", "a/b", "..", "ü", "x" * 100, "INC-7"]


@pytest.fixture
async def incidents(database: Database) -> None:
    async with database.write() as session:
        for number, public_id in enumerate([*IDS, "inc_gone"]):
            over = number % 2 == 0
            row = Incident(
                public_id=public_id, title="---\nTitle", severity="low", target="t", symptoms="",
                status="resolved" if over else "active", started_at=NOW, provenance="model", review="draft",
                resolved_at=NOW + timedelta(microseconds=1) if over else None, root_cause="", resolution=None,
                forgotten_at=NOW if public_id == "inc_gone" else None,
            )  # fmt: skip
            session.add(row)
            await session.flush()
            if over:
                written = {
                    "provenance": "human",
                    "status": "approved",
                    "edited_at": NOW,
                    "reviewed_by": "ada",
                }
                session.add(
                    Postmortem(
                        incident_id=row.id, markdown="\r\n# x\n---\n", summary="s", created_at=NOW, **written
                    )
                )
    await emptied_outbox(database)


async def contents(database: Database) -> dict[str, Any]:
    def plain(row: Any) -> dict[str, Any]:
        names = [attribute.key for attribute in row.__mapper__.column_attrs]
        return {name: getattr(row, name) for name in names if name not in ("id", "incident_id")}

    texts = await postmortems(database)
    return {
        name: (plain(row), plain(texts[name]) if name in texts else None)
        for name, row in (await stored(database)).items()
    }


async def cleared(database: Database) -> None:
    async with database.write() as session:
        for table in (Postmortem, Incident):
            for row in await session.scalars(table.__table__.select().with_only_columns(table.id)):
                await session.delete(await session.get_one(table, row))
            await session.flush()


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
async def test_what_is_exported_goes_in_again(
    database: Database, incidents: None, run_import: Import, tmp_path: Path, name: str
) -> None:
    """Where it came from it changes nothing; elsewhere it makes the same."""
    path = tmp_path / name
    assert await export_archive(database, path) == len(IDS)
    assert numbers(await run_import(path, replace=True)) == (0, 0, len(IDS), 0)
    assert await emptied_outbox(database) == 0
    before = await contents(database)
    await cleared(database)
    assert numbers(await run_import(path)) == (len(IDS), 0, 0, 0)
    del before["inc_gone"]
    assert await contents(database) == before


async def test_nothing_is_overwritten_unasked(database: Database, incidents: None, tmp_path: Path) -> None:
    """What is there stays, unless --replace is said; then files of other names stay."""
    folder, lines = tmp_path / "out", tmp_path / "out.jsonl"
    await asyncio.to_thread(folder.mkdir)
    for path in (folder / "mine.md", folder / "inc_1.md", lines, tmp_path / "file"):
        await asyncio.to_thread(path.write_text, "mine")
    for path, said in [
        (folder, "has content already"),
        (lines, "has content already"),
        (tmp_path / "file", "accepted are a folder, a file .jsonl, or -"),
        (tmp_path / "x.md", "accepted are a folder, a file .jsonl, or -"),
        (tmp_path / "file" / "below", "cannot write to"),
        (tmp_path / "none" / "x.jsonl", "cannot write to"),
    ]:
        with pytest.raises(ArchiveError, match=said):
            await export_archive(database, path)
    assert await asyncio.to_thread(lines.read_text) == "mine"
    await export_archive(database, folder, replace=True)
    await export_archive(database, lines, replace=True)
    assert await asyncio.to_thread((folder / "mine.md").read_text) == "mine"
    exported = (await asyncio.to_thread(lines.read_text)).splitlines()
    assert [json.loads(line)["id"] for line in exported] == IDS
    assert len(await asyncio.to_thread(list, folder.iterdir())) == len(IDS) + 1


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
async def test_an_export_that_fails_leaves_nothing_half_written(
    database: Database, incidents: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Files are whole, a file of lines is there or not, and no draft stays behind."""
    members_of = exporter.members_of
    calls: Iterator[int] = iter(range(100))

    def failing(*rows: Any) -> Any:
        if next(calls) == 3:
            raise OSError(28, "No space left on device")
        return members_of(*rows)

    monkeypatch.setattr(exporter, "members_of", failing)
    monkeypatch.setattr(exporter, "_INCIDENTS_PER_READ", 2)
    with pytest.raises(OSError, match="No space left"):
        await export_archive(database, tmp_path / name)
    left = await asyncio.to_thread(
        lambda: sorted(path.name for path in tmp_path.rglob("*.*") if path.is_file())
    )
    expected = ["inc_1.md"] if name == "out" else []
    assert [path for path in left if path.endswith((".md", ".jsonl", ".tmp"))] == [
        path for path in left if path in expected or path.startswith("a_b-")
    ]
