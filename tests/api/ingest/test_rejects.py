"""What cannot be loaded is set aside or refused; nothing is lost and nothing half-written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.ingest import IngestError, IngestSummary, InputError, MappingError
from models.database import Database

WriteFile = Callable[..., Path]
Line = Callable[..., str]
Load = Callable[..., Awaitable[IngestSummary]]
Contents = Callable[[Database], Awaitable[dict[str, list[tuple[Any, ...]]]]]

BAD_ROWS = {
    "created_at: missing": {"created_at": ""},
    "created_at: not a time": {"created_at": "noon"},
    "created_at: a time without a zone": {"created_at": "2026-01-01 00:00:00"},
    "created_at: out of range": {"created_at": "1926-01-01T00:00:00Z"},
    "user: missing": {"user": ""},
    "user: too long": {"user": "x" * 2**20},
    "user: unstorable character": {"user": "a\0b"},
    "tier: unknown value": {"tier": "gold"},
    "model: missing": {"model": " "},
    "backend: holds a slash": {"backend": "a/b"},
    "backend: too long": {"model": "m" * 100, "backend": "b" * 100},
    "status: unknown value": {"status": "SUCCEED"},
    "status: missing": {"status": ""},
    "latency_ms: negative": {"latency_ms": "-1"},
    "latency_ms: not a number": {"latency_ms": "nan"},
    "latency_ms: too large": {"latency_ms": "1e99"},
    "row: wrong number of values": {"latency_ms": "1,2"},
    "row: not UTF-8": {"user": "caf\udce9"},
    "row: not valid CSV": {"user": '"a"b'},
}


async def test_a_bad_row_of_any_kind_is_set_aside_and_the_rest_is_loaded(
    write_log: WriteFile, request_line: Line, load: Load, rejects: Path,
    read_rejects: Callable[[], list[dict[str, Any]]],
) -> None:  # fmt: skip
    """The rejects file has line, reason and original text of each; the summary counts them by reason."""
    good = [request_line(number) for number in range(101)]
    bad = [request_line(index, **changes) for index, changes in enumerate(BAD_ROWS.values())]
    path = write_log(*good, *bad, request_line(2000))
    summary = await load(path, rejects=rejects, rows_per_batch=30)
    assert (summary.rows, summary.added, summary.rejected) == (121, 102, 19)
    assert summary.reasons == dict.fromkeys(BAD_ROWS, 1)
    assert summary.rejects_file == str(rejects)
    entries = read_rejects()
    assert [entry["line"] for entry in entries] == list(range(103, 122))
    assert [": ".join(entry["reason"].split(": ")[:2]) for entry in entries] == list(BAD_ROWS)
    assert [entry["original"] for entry in entries] == bad

    again = await load(path, rejects=rejects)
    assert (again.added, again.already_present, again.rejected) == (0, 102, 19)
    assert len(read_rejects()) == 19, "each run replaces the file"


async def test_a_log_of_bad_rows_only_loads_nothing(
    database: Database,
    write_log: WriteFile,
    request_line: Line,
    load: Load,
    rejects: Path,
    contents: Contents,
) -> None:
    """Neither users nor deployments come from rows that are rejected."""
    summary = await load(write_log(*[request_line(1, status="?")] * 5), rejects=rejects)
    assert (summary.rows, summary.stored, summary.rejected) == (5, 0, 5)
    assert not any((await contents(database)).values())


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((), InputError),
        (("created_at,user,tier,model,backend,status",), InputError),
        (("created_at;user;tier;model;backend;status", "1;2;3;4;5;6"), MappingError),
        (("created_at,user,tier,model,backend", "2026-01-01T00:00Z,u,premium,m,b"), MappingError),
        (("created_at,user,tier,model,backend,status", "2026-01-01,u,premium,m,b,error"), MappingError),
    ],
)
async def test_what_is_wrong_with_the_whole_file_is_found_before_anything_is_written(
    database: Database, write_file: WriteFile, load: Load, rejects: Path, contents: Contents,
    lines: tuple[str, ...], error: type[IngestError],
) -> None:  # fmt: skip
    """Law 10: an error that names the file, an untouched database and no rejects file."""
    with pytest.raises(error, match=r"log\.csv"):
        await load(write_file(*lines), rejects=rejects)
    assert not any((await contents(database)).values())
    assert files_beside(rejects) == ["log.csv"]


async def test_rejects_that_cannot_be_written_stop_the_load_before_it_starts(
    database: Database,
    write_log: WriteFile,
    request_line: Line,
    load: Load,
    contents: Contents,
    tmp_path: Path,
) -> None:
    """A missing folder, a folder, a device and the data file itself are refused."""
    path = write_log(request_line(1))
    before = path.read_bytes()
    for target in (tmp_path / "no" / "x.jsonl", tmp_path, Path("/dev/null"), path):
        with pytest.raises(InputError, match="rejects file"):
            await load(path, rejects=target)
    assert not any((await contents(database)).values())
    assert path.read_bytes() == before


async def test_a_run_without_rejects_leaves_no_file_and_overwrites_none(
    write_log: WriteFile, request_line: Line, load: Load, rejects: Path
) -> None:
    """No file is made for nothing, and no temporary file is left."""
    path = write_log(request_line(1))
    summary = await load(path, rejects=rejects)
    assert summary.rejects_file is None
    assert files_beside(rejects) == ["log.csv"]
    earlier = write_log(name="earlier.jsonl")
    before = earlier.read_bytes()
    await load(path, rejects=earlier)
    assert earlier.read_bytes() == before


def files_beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("arcpoint.db"))
