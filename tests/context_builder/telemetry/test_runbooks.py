"""Runbooks are read in their current state, within limits, and never from outside their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from context_builder.telemetry.runbooks import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_PASSAGE_CHARACTERS,
    MAX_PASSAGES,
    RunbookLibrary,
    Runbooks,
    headed_passages,
)


def test_passages_have_their_headings() -> None:
    """Headings nest; a heading in code is none, and one without text is no passage."""
    text = "intro\n\n# A\n\n## B\n\nfirst\n\n```\n# no heading\n```\n\nC\n===\n\n- one\n- two\n\n## D\n"
    assert list(headed_passages(text)) == [
        ("", "intro"),
        ("A > B", "first\n```\n# no heading\n```"),
        ("C", "- one\n- two"),
    ]


def test_a_long_section_is_split_between_its_items() -> None:
    """No item is lost or repeated, and every part has its headings."""
    items = [f"- step {number} {'x' * 80}" for number in range(60)]
    parts = list(headed_passages("# Long\n\n" + "\n".join(items)))
    assert len(parts) > 5
    assert {heading for heading, _ in parts} == {"Long"}
    assert "\n".join(text for _, text in parts).split("\n") == items
    assert all(len(text) <= MAX_PASSAGE_CHARACTERS + 20 for _, text in parts)


async def test_without_a_folder_there_are_no_passages() -> None:
    """The default reads nothing."""
    assert await Runbooks().library() == RunbookLibrary()


async def test_changed_files_are_reread(tmp_path: Path) -> None:
    """New, changed and removed files take effect at the next question, in subfolders too."""
    runbooks = Runbooks(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.md").write_text("one")
    (tmp_path / "notes.txt").write_text("no runbook")
    (first,) = (await runbooks.library()).passages
    assert (first.file, first.heading, first.text) == ("deep/a.md", "", "one")
    assert await runbooks.library() is await runbooks.library()
    (tmp_path / "deep" / "a.md").write_text("two, longer")
    (tmp_path / "B.MD").write_text("three")
    assert [passage.text for passage in (await runbooks.library()).passages] == ["three", "two, longer"]
    (tmp_path / "B.MD").unlink()
    assert [passage.text for passage in (await runbooks.library()).passages] == ["two, longer"]


async def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link to a file or folder outside is no runbook; one inside is."""
    outside, folder = tmp_path / "outside", tmp_path / "runbooks"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret.md").write_text("secret")
    (folder / "own.md").write_text("own")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "up.md").symlink_to("../outside/secret.md")
    (folder / "linked").symlink_to(outside)
    (folder / "dangling.md").symlink_to(folder / "gone.md")
    (folder / "alias.md").symlink_to(folder / "own.md")
    library = await Runbooks(folder).library()
    assert [passage.file for passage in library.passages] == ["alias.md", "own.md"]
    assert "secret" not in str(library.passages)
    assert library.gaps == (
        "runbooks linked from outside the folder: link.md, up.md",
        "runbooks that cannot be read: dangling.md",
    )


async def test_unusable_files_are_named(tmp_path: Path) -> None:
    """Binary, oversized and special files are skipped by name; the others are read."""
    (tmp_path / "good.md").write_bytes(b"\xef\xbb\xbf# Title\r\n\r\nfine\r\n")
    (tmp_path / "latin.md").write_bytes("\u00e9".encode("latin-1"))
    (tmp_path / "zero.md").write_bytes(b"a\0b")
    (tmp_path / "big.md").write_bytes(b"a" * (MAX_FILE_BYTES + 1))
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "empty.md").write_text("")
    runbooks = Runbooks(tmp_path)
    library = await runbooks.library()
    assert [(p.file, p.heading, p.text) for p in library.passages] == [("good.md", "Title", "fine")]
    assert library.gaps == (
        "runbooks larger than 256 KiB: big.md",
        "runbooks not in UTF-8: latin.md, zero.md",
        "runbooks not regular files: pipe.md",
    )
    assert await runbooks.library() is library


async def test_a_missing_folder_is_a_gap(tmp_path: Path) -> None:
    """A wrong setting fails no question, and recovers when the folder appears."""
    runbooks = Runbooks(tmp_path / "missing")
    assert (await runbooks.library()).gaps == ("runbooks in an unreadable folder: missing",)
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "a.md").write_text("now")
    assert [passage.text for passage in (await runbooks.library()).passages] == ["now"]


async def test_the_number_of_files_is_limited(tmp_path: Path) -> None:
    """The first files by name are read, and that there are more is a gap."""
    for number in reversed(range(MAX_FILES + 50)):
        (tmp_path / f"{number:04}.md").write_text("x")
    library = await Runbooks(tmp_path).library()
    assert [passage.file for passage in library.passages] == [f"{n:04}.md" for n in range(MAX_FILES)]
    assert library.gaps == (f"runbooks beyond the first {MAX_FILES} files: {tmp_path.name}",)


async def test_the_number_of_bytes_is_limited(tmp_path: Path) -> None:
    """Files beyond the total limit are named."""
    for number in range(12):
        (tmp_path / f"{number:02}.md").write_text("word " * (MAX_FILE_BYTES // 5))
    library = await Runbooks(tmp_path).library()
    assert {passage.file for passage in library.passages} == {f"{number:02}.md" for number in range(8)}
    assert library.gaps == ("runbooks beyond the first 2 MiB: 08.md, 09.md, 10.md, 11.md",)


@pytest.mark.long
async def test_the_number_of_passages_is_limited(tmp_path: Path) -> None:
    """Exactly, even within a file; files that are not fully included are named."""
    (tmp_path / "a.md").write_text("# x\ny\n" * (MAX_PASSAGES - 2))
    (tmp_path / "b.md").write_text("# x\ny\n" * 5)
    (tmp_path / "c.md").write_text("z")
    library = await Runbooks(tmp_path).library()
    assert len(library.passages) == MAX_PASSAGES
    assert [passage.file for passage in library.passages[-3:]] == ["a.md", "b.md", "b.md"]
    assert library.gaps == ("runbooks beyond the first 5,000 passages: b.md, c.md",)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
async def test_an_unreadable_file_is_a_gap(tmp_path: Path) -> None:
    """Missing permissions cost one file, and are checked again when they change."""
    path = tmp_path / "a.md"
    path.write_text("text")
    path.chmod(0)
    runbooks = Runbooks(tmp_path)
    assert (await runbooks.library()).gaps == ("runbooks that cannot be read: a.md",)
    path.chmod(0o600)
    assert len((await runbooks.library()).passages) == 1
