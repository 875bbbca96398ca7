"""Postmortem files: whole or not there, and always within their folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api.archive.postmortem_files import (
    FileState,
    FolderUnusable,
    PostmortemFiles,
    file_stem,
    file_text,
    parsed,
    read_edited,
)
from context_builder.postmortems.records import StoredPostmortem
from context_builder.question.request import QuestionError
from tests.support.source_results import texts

BODY = "# Postmortem: Pool exhausted\n\n## Summary\n\nIt was bad.\n"


def postmortem(incident: str, markdown: str = BODY, **values: Any) -> StoredPostmortem:
    return StoredPostmortem(
        incident, markdown, "a model", Decimal(1), datetime(2026, 3, 10, tzinfo=UTC), **values
    )


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
    assert path.read_text("utf-8").endswith("---\n\n# text")


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle neither garbles what was there nor leaves a draft behind."""
    files = PostmortemFiles(tmp_path)
    path = files.write(postmortem("inc_1", "older"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(postmortem("inc_1", "newer"))
    assert path.read_text("utf-8").endswith("---\n\nolder")
    assert list(tmp_path.iterdir()) == [path]


def test_preparing_leaves_nothing_behind(tmp_path: Path) -> None:
    """The folder is made with its parents, and the proof that it can be written is gone again."""
    PostmortemFiles(tmp_path / "a" / "b").prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_drafts_of_killed_runs_are_cleared_away(tmp_path: Path) -> None:
    """Old ones go, one that may be being written stays, and so does whatever is not ours."""
    old, young, other = (tmp_path / name for name in (".inc_1.abc.tmp", ".inc_2.abc.tmp", "notes.tmp"))
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    PostmortemFiles(tmp_path).prepare()
    assert set(tmp_path.iterdir()) == {young, other}


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    """The message names the folder and the reason."""
    (tmp_path / "file").touch()
    with pytest.raises(FolderUnusable, match=r"cannot write postmortems to .*file: File exists"):
        PostmortemFiles(tmp_path / "file").prepare()


@given(texts, texts)
def test_front_matter_is_yaml_whatever_it_holds(incident: str, model: str) -> None:
    """Any reader of YAML gets the values back, and what follows is the text as it was given."""
    storable = "".join(each for each in incident if not "\ud800" <= each <= "\udfff")
    given_text = postmortem(storable, BODY, status="approved", provenance="human")
    written = file_text(given_text)
    _, front, body = written.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["incident"] == storable
    assert (values["status"], values["provenance"], values["model"]) == ("approved", "human", "a model")
    assert body.lstrip("\n") == BODY
    read = parsed(written)
    assert (read.incident, read.is_edited) == (storable, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("It was bad.", "It was not that bad."),
        lambda text: text + "\nOne more line.\n",
        lambda text: text.partition("---\n\n")[2].replace("bad", "good"),
        lambda text: text.replace("body_sha256", "sha"),
        lambda _: "",
    ],
)
def test_a_file_that_a_person_changed_is_recognized(change: Any, tmp_path: Path) -> None:
    """Wherever it lies, by its text alone; one that never was a copy counts as a person's, too."""
    files = PostmortemFiles(tmp_path)
    path = files.write(postmortem("inc_1"))
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    assert files.is_edited("inc_1")
    assert files.state(postmortem("inc_1", "# Postmortem: another text")) is FileState.EDITED


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace('"draft"', "approved"),
        lambda text: text.replace("It was bad.\n", "It was bad.  \n\n\n"),
    ],
)
def test_what_editors_do_by_themselves_is_no_edit(change: Any, tmp_path: Path) -> None:
    """Line endings, white space at ends, a byte order mark, or a changed front matter."""
    files = PostmortemFiles(tmp_path)
    path = files.write(postmortem("inc_1"))
    path.write_bytes(change(path.read_text("utf-8")).encode())
    assert not files.is_edited("inc_1")
    assert files.state(postmortem("inc_1", "# another text")) is FileState.BEHIND


def test_a_file_is_in_one_of_four_states(tmp_path: Path) -> None:
    """Missing, current, behind a decision or a newer text, or edited; an older version's copy is behind."""
    files = PostmortemFiles(tmp_path)
    assert files.state(postmortem("inc_1")) is FileState.MISSING
    assert not files.is_edited("inc_1")
    path = files.write(postmortem("inc_1"))
    assert files.state(postmortem("inc_1")) is FileState.CURRENT
    assert files.state(postmortem("inc_1", status="approved")) is FileState.BEHIND
    path.write_text(BODY, "utf-8")
    assert files.state(postmortem("inc_1")) is FileState.BEHIND, "the text is the same, without front matter"
    path.write_text(BODY + "more", "utf-8")
    assert files.state(postmortem("inc_1")) is FileState.EDITED


def test_a_person_s_file_is_read_for_its_incident_only(tmp_path: Path) -> None:
    """Without its front matter; that of another incident, of no text, or of no size of a text is refused."""
    path = PostmortemFiles(tmp_path).write(postmortem("inc_1"))
    assert read_edited(path, "inc_1").strip() == BODY.strip()
    with pytest.raises(
        QuestionError, match=r"inc_1\.md: is the postmortem of incident 'inc_1', not of 'inc_2'"
    ):
        read_edited(path, "inc_2")
    (tmp_path / "plain.md").write_text("---\nno front matter\n", "utf-8")
    assert read_edited(tmp_path / "plain.md", "inc_2") == "---\nno front matter\n"
    (tmp_path / "bytes.md").write_bytes(b"# \xff")
    with pytest.raises(QuestionError, match=r"bytes\.md: is not UTF-8 text \(byte 2\)"):
        read_edited(tmp_path / "bytes.md", "inc_1")
    (tmp_path / "large.md").write_bytes(b"x" * 2_000_000)
    with pytest.raises(QuestionError, match=r"large\.md: has more than"):
        read_edited(tmp_path / "large.md", "inc_1")
