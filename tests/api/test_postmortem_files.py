"""Postmortem files: whole or not there, and always within their folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.postmortem_files import FolderUnusable, PostmortemFiles, file_stem
from context_builder.postmortems.writer import PostmortemText


def postmortem(incident: str, markdown: str) -> PostmortemText:
    return PostmortemText(incident, markdown, "a model", Decimal(1), datetime(2026, 3, 10, tzinfo=UTC))


@given(st.text(), st.text())
def test_every_incident_has_a_file_name_of_its_own(one: str, other: str) -> None:
    """No id leaves the folder, hides a file or is too long; different ids have different names."""
    stem = file_stem(one)
    path = Path("folder") / f"{stem}.md"
    assert path.name == f"{stem}.md"
    assert 0 < len(stem.encode()) < 200
    assert not stem.startswith(".")
    assert (file_stem(other) == stem) == (one == other)


@pytest.mark.parametrize("incident", ["inc_0101", "INC-2024.117", "42"])
def test_ordinary_ids_are_file_names_as_they_are(incident: str) -> None:
    """A person finds the file by the id of the incident."""
    assert file_stem(incident) == incident


@pytest.mark.parametrize(
    "incident", ["../../etc/passwd", "..", "", "a/b", "a\x00b", ".hidden", "x" * 5000, "\ud800"]
)
def test_hostile_ids_stay_in_the_folder(incident: str, tmp_path: Path) -> None:
    """Whatever an imported id holds, its file is written in the folder."""
    files = PostmortemFiles(tmp_path / "out")
    files.prepare()
    path = files.write(postmortem(incident, "# text"))
    assert list((tmp_path / "out").iterdir()) == [path]
    assert path.read_text("utf-8") == "# text"


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle neither garbles what was there nor leaves a draft behind."""
    files = PostmortemFiles(tmp_path)
    path = files.write(postmortem("inc_1", "older"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(postmortem("inc_1", "newer"))
    assert path.read_text("utf-8") == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_preparing_leaves_nothing_behind(tmp_path: Path) -> None:
    """The folder is made with its parents, and the proof that it can be written is gone again."""
    PostmortemFiles(tmp_path / "a" / "b").prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The message names the folder and the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"cannot write postmortems to .*file: File exists"):
        PostmortemFiles(tmp_path / "file").prepare()
