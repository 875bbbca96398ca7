"""`arcpoint memory`: from nothing to a search that finds, with the real index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run

RESOLVED = 18


@pytest.fixture
def folder(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(tmp_path / "memory"))
    return tmp_path / "memory"


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
