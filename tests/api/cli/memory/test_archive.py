"""`arcpoint memory import` and `export`: an archive becomes memory in one command, and memory an archive."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from api.archive.reader import DOCUMENTS_PER_BATCH
from tests.support.command_line import Run, Start, finished

pytestmark = pytest.mark.process

INCIDENT = {
    "id": "old_1",
    "title": "Kubernetes node pool drained by the autoscaler",
    "severity": "P1",
    "start": "2026-01-01T10:00Z",
    "end": "2026-01-01T11:00Z",
    "summary": "zebra quince marmalade in every answer",
    "root_cause": "the pool had no disruption budget",
    "fix": "added one",
}


@pytest.fixture
def folder(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive; memory has a folder that it can use."""
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(tmp_path / "memory"))
    (tmp_path / "archive").mkdir()
    return tmp_path / "archive"


def test_an_archive_becomes_memory(arcpoint: Run, folder: Path) -> None:
    """What was imported is recalled; rejected documents are reported and set the exit code."""
    (folder / "a.jsonl").write_text(json.dumps(INCIDENT) + "\n")
    result = arcpoint("memory", "import", folder)
    assert (result.code, result.err) == (0, "")
    first, second, third = result.out.splitlines()
    assert first.startswith("1 document read in ")
    assert second == "1 added, 0 updated, 0 unchanged, 0 rejected"
    assert third.startswith("memory holds 19 incidents, ")
    found = json.loads(arcpoint("memory", "search", INCIDENT["summary"], "--json").out)["recollections"]
    assert (found[0]["public_id"], found[0]["provenance"]) == ("old_1", "import")

    (folder / "b.md").write_text("---\ntitle: x\nseverity: purple\n---\n")
    result = arcpoint("memory", "import", folder)
    assert result.code == 1
    assert result.out.splitlines()[1] == "0 added, 0 updated, 1 unchanged, 1 rejected"
    assert result.err.startswith(f"arcpoint: {folder}/b.md: severity: unknown value: 'purple'; accepted are")
    assert len(result.err.splitlines()) == 1

    result = arcpoint("memory", "import", folder, "--json")
    assert result.code == 1
    document = json.loads(result.out)
    assert (document["unchanged"], document["rejected"][0]["field"]) == (1, "severity")
    assert document["memory"]["entries"] == 19


def test_a_dry_run_needs_no_memory(arcpoint: Run, environment: dict[str, str], tmp_path: Path) -> None:
    """Nor does the import itself, which is safe without it and warns that memory is behind."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(INCIDENT) + "\n")
    result = arcpoint("memory", "import", path, "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[1] == (
        "would be: 1 added, 0 updated, 0 unchanged, 0 rejected; nothing was written"
    )
    result = arcpoint("memory", "import", path)
    assert result.code == 0
    assert result.out.splitlines()[1] == "1 added, 0 updated, 0 unchanged, 0 rejected"
    assert result.err.startswith("arcpoint: warning: incident memory is not up to date: ")


def test_options_stand_for_what_the_archive_leaves_out(
    arcpoint: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    """A zone and a severity; what cannot be used is refused before anything is written."""
    path = tmp_path / "2026-01-01-x.md"
    path.write_text("# Title\n\nIt was over.\n")
    assert "a time without a zone" in arcpoint("memory", "import", path, "--severity", "low").err
    result = arcpoint(
        "memory", "import", path, "--severity", "low", "--timezone", "Europe/Paris", "--dry-run"
    )
    assert result.code == 0
    for wrong in (["--timezone", "Mars"], ["--severity", "purple"], []):
        refused = arcpoint("memory", "import", path if wrong else tmp_path / "none", *wrong)
        assert refused.code == 2
        assert len(refused.err.splitlines()) == 1


def test_an_export_goes_in_through_a_pipe(
    arcpoint: Run, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON Lines on standard output are JSON Lines on standard input, and a folder is counted."""
    exported = arcpoint("memory", "export", "-")
    assert (exported.code, exported.err) == (0, "")
    lines = exported.out.splitlines()
    assert len(lines) > 18
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(exported.out.encode())))
    result = arcpoint("memory", "import", "-", "--dry-run")
    assert result.out.splitlines()[1].startswith(
        f"would be: 0 added, 0 updated, {len(lines)} unchanged, 0 rejected"
    )
    assert (
        arcpoint("memory", "export", tmp_path / "out").out
        == f"{len(lines)} incidents exported to {tmp_path}/out\n"
    )
    again = arcpoint("memory", "export", tmp_path / "out")
    assert (again.code, again.out) == (2, "")
    assert "has content already" in again.err


def imported(environment: dict[str, str]) -> int:
    """How many incidents the database has from the archive, read beside the program."""
    path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int
        (count,) = connection.execute("SELECT count(*) FROM incidents WHERE provenance = 'import'").fetchone()
        return count


def test_ctrl_c_says_that_the_same_command_continues(
    start: Start, folder: Path, environment: dict[str, str]
) -> None:
    """What was stored stays; the exit code is that of an interruption."""
    process = start("memory", "import", "-", stdin=-1)
    assert process.stdin is not None
    for number in range(DOCUMENTS_PER_BATCH + 1):
        process.stdin.write(json.dumps(INCIDENT | {"id": f"old_{number}"}) + "\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not imported(environment):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    result = finished(process)
    assert result.code == 130, result.err
    assert result.out.splitlines()[-1] == "interrupted; the same command again continues"
    assert imported(environment) == DOCUMENTS_PER_BATCH
