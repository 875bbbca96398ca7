"""`arcpoint memory`: from nothing to a search that finds, with the real index."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Run

RESOLVED = 18


@pytest.fixture
def folder(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(tmp_path / "memory"))
    return tmp_path / "memory"


@pytest.mark.process
def test_memory_from_nothing_to_a_search_that_finds(arcpoint: Run, folder: Path) -> None:
    """Memory that was never synced is told with the remedy; then it knows what was resolved by the moment."""
    before = arcpoint("memory", "status")
    assert before.code == 1
    assert "memory: no memory index has been built yet; run `arcpoint memory " in before.out

    assert arcpoint("memory", "sync").out.startswith(f"{RESOLVED} incidents in memory: {RESOLVED} embedded")
    status = json.loads(arcpoint("memory", "status", "--json").out)
    assert (status["entries"], status["vectors"], status["lag"]) == (RESOLVED, RESOLVED, 0)

    words = "connection refused on port 8443"
    found = json.loads(arcpoint("memory", "search", words, "--limit", 2, "--json").out)["recollections"]
    assert 1 <= len(found) <= 2
    assert "connection refused" in found[0]["symptoms"]
    text = arcpoint("memory", "search", words, "--limit", 2).out
    assert text.startswith(f"{found[0]['similarity']:.2f}  {found[0]['public_id']}  {found[0]['title']}\n")
    assert found[0]["root_cause"] in text

    # Later incidents are not known in the past.
    early = arcpoint("memory", "search", words, "--as-of", "2020-01-01T00:00Z")
    assert (early.code, early.out) == (0, "nothing similar (memory holds no resolved incident)\n")
    assert arcpoint("memory", "rebuild").out.startswith(
        f"{RESOLVED} incidents in memory: 0 embedded, 0 removed"
    )


@pytest.mark.process
def test_a_kept_index_can_serve_again_and_be_dropped(arcpoint: Run, folder: Path) -> None:
    """A rebuild keeps the index before it; both ways lie open, and a wrong name changes nothing."""
    arcpoint("memory", "sync")
    old = json.loads(arcpoint("memory", "status", "--json").out)["collection"]
    arcpoint("memory", "rebuild")
    status = arcpoint("memory", "status").out
    assert f"kept             {old} (hashing-512, " in status
    assert f"index {old}: 0 written, 0 deleted" in arcpoint("memory", "activate", old).out
    newer = [each["index"]["collection"] for each in _status(arcpoint)["kept"] if not each["serves"]]
    refused = arcpoint("memory", "drop", old)
    assert (refused.code, refused.err) == (
        2, f"arcpoint: no collection {old} is kept beside the active one; see `arcpoint memory status`\n"
    )  # fmt: skip
    assert arcpoint("memory", "drop", *newer).out == f"{newer[0]} dropped\n"
    assert len(_status(arcpoint)["kept"]) == 1


@pytest.mark.process
def test_forgetting_asks_first_and_leaves_nothing(
    arcpoint: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a yes nothing happens; with --yes the incident can no longer be found, nor come back."""
    arcpoint("memory", "sync")
    words = "connection refused on port 8443"
    [first, *_] = json.loads(arcpoint("memory", "search", words, "--json").out)["recollections"]
    name = first["public_id"]
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    unsure = arcpoint("memory", "forget", name)
    assert (unsure.code, unsure.out) == (2, "")
    assert unsure.err.endswith("nothing was forgotten; answer y, or use --yes\n")
    wrong = arcpoint("memory", "forget", name, "inc_nope", "--yes")
    assert (wrong.code, wrong.err) == (2, "arcpoint: incident 'inc_nope' is not known; nothing was changed\n")
    assert arcpoint("memory", "forget", name, "--yes").out == f"{name}  forgotten: its texts and vectors\n"
    assert name not in arcpoint("memory", "search", words).out
    status = _status(arcpoint)
    assert (status["entries"], status["lag"], len(status["kept"])) == (RESOLVED - 1, 0, 1)


@pytest.mark.process
def test_a_read_only_run_changes_nothing(
    arcpoint: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ARCPOINT_READ_ONLY memory answers, and every command that would change it says why it does not."""
    arcpoint("memory", "sync")
    monkeypatch.setenv("ARCPOINT_READ_ONLY", "true")
    assert "recollections" in arcpoint("memory", "search", "connection refused", "--json").out
    for command in (["sync"], ["rebuild"], ["approve", "inc_0001"], ["forget", "inc_0001", "--yes"]):
        refused = arcpoint("memory", *command)
        assert refused.code == 1
        assert refused.err.endswith("is open read-only (ARCPOINT_READ_ONLY); nothing was changed\n")


def _status(arcpoint: Run) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(arcpoint("memory", "status", "--json").out)
    return status
