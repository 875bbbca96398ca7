"""Every file of an archive's folder is imported, reported or ignored, and none breaks the import."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api.archive import ArchiveError, ImportDefaults
from api.archive.documents import IncidentDocument
from api.archive.front_matter import MAX_BYTES
from api.archive.json_lines import MAX_LINE_BYTES
from api.archive.reader import ArchiveReader, Item
from tests.support.archives import Archive

PLAIN = "cannot be read: accepted is plain YAML without tags, aliases and deep nesting"
LINE = '{"id": "inc_1", "title": "x", "sev": 1, "start": "2026-01-01T00:00Z"}'


def read(*paths: Path, per_batch: int = 100) -> list[list[Item]]:
    reader = ArchiveReader(paths, ImportDefaults(), per_batch=per_batch)
    try:
        reader.open()
        return list(iter(reader.next_batch, []))
    finally:
        reader.close()


def contents(archive: Archive) -> list[str]:
    """Return the ids of documents and the other items as text, without the path of the archive."""
    (batch,) = read(archive.path)
    items = [item.public_id if isinstance(item, IncidentDocument) else str(item) for item in batch]
    return [item.replace(f"{archive.path}/", "") for item in items]


def test_files_are_taken_in_order_and_hidden_ones_left_out(archive: Archive) -> None:
    """Markdown and JSON Lines, in all folders below; other files are ignored, and a README is left out."""
    archive.front("b/z.markdown", id="1")
    archive.front("b/a.MD", id="0")
    archive.front("z.md", id="3")
    archive.write("c.ndjson", LINE.replace("inc_1", "2"))
    for hidden in (".git/x.md", ".x.md", "picture.png", "notes.txt", "x.json"):
        archive.front(hidden, id="hidden")
    archive.write("b/ReadMe.md", "# Our postmortems")
    batches = read(archive.path, archive.path / "z.md", per_batch=2)
    shown = [[getattr(item, "public_id", str(item)[-40:]) for item in batch] for batch in batches]
    left_out = "of its name; name the file itself to import it"[-40:]
    assert shown == [["2", "3"], [left_out, "0"], ["1"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "x.md:1: text: is not UTF-8 (byte 0x89); accepted is Markdown in UTF-8"),
        (b"---\ntitle: a\n---\n\n\xff", "x.md:5: text: is not UTF-8 (byte 0xff); accepted is Markdown"),
        ("# Ü".encode("utf-16"), "x.md:1: text: is not UTF-8 (byte 0xff); accepted is Markdown in UTF-8"),
        (b"# a\n\0", "x.md:2: text: holds a NUL byte; accepted is Markdown in UTF-8"),
        (b"Cause: x", "x.md: title: is missing; accepted is a title, or a heading in the text"),
        (b"# A\n\nCause: x", "x.md: started_at: is missing; accepted is a time such as 2026-11-20T08:00Z"),
        (b"---\nid: 1\n", "x.md:1: front matter: begins with `---` and does not end;"),
        (b"---\n- a\n---\n", "x.md:2: front matter: is no mapping; accepted are lines such as `title: text`"),
        (b"---\n[a]: b\n---\n", "x.md:2: front matter: cannot be read: found unhashable key"),
        (b"---\na: b: c\n---\n", "x.md:2: front matter: cannot be read: mapping values are not allowed"),
        (b"---\na: b\n--- x\nc: d\n---\n", "x.md:4: front matter: cannot be read: "),
        (b"---\n" + b"{a: " * 3000 + b"}" * 3000 + b"\n---\n", f"x.md:2: front matter: {PLAIN}"),
        (b"---\na: " + b"[" * 500 + b"]" * 500 + b"\n---\n", f"x.md:2: front matter: {PLAIN}"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_document_is_rejected(archive: Archive, content: bytes, said: str) -> None:
    """With the line, in one line."""
    archive.write("x.md", content)
    (error,) = contents(archive)
    assert error.startswith(said)
    assert len(error.splitlines()) == 1


def test_huge_files_and_lines_are_not_read_whole(archive: Archive) -> None:
    """A file of 50 MB and a line of 9 MB are rejected; the lines after it are read."""
    with archive.write("a.md", "# x").open("r+b") as file:
        file.truncate(50 * 2**20)
    archive.write("b.jsonl", b'{"x": "' + b"x" * (MAX_LINE_BYTES + 1), b'"}\n', "[1]")
    assert contents(archive) == [
        f"a.md: file: is larger than {MAX_BYTES:,} bytes",
        f"b.jsonl:1: line: is longer than {MAX_LINE_BYTES:,} bytes",
        "b.jsonl:2: line: is no JSON object; accepted is one object a line",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "is not valid JSON: expecting property name"),
        (b'{"a": "\xff"}', "is not UTF-8: byte 0xff after 7 bytes"),
        (b"[" * 100_000, "is not valid JSON: nested too deeply"),
        (b'{"id": ' + b"[" * 500 + b"]" * 500 + b"}", "id:"),
        (b'{"title": "\\ud800"}', "title: unstorable character"),
        (b'{"title": "a\\u0000"}', "title: unstorable character"),
        (b'{"title": {"a": 1}}', "title: holds members of its own"),
        (b'{"id": true, "title": null}', "title: is empty"),
        (b"null", "is no JSON object"),
    ],
)
def test_a_line_that_is_no_document_is_rejected(archive: Archive, line: bytes, said: str) -> None:
    """In one line; the lines around it are taken."""
    archive.write("x.jsonl", LINE, line + b"\n", LINE.replace("inc_1", "inc_2"))
    first, error, last = contents(archive)
    assert (first, last) == ("inc_1", "inc_2")
    assert error.startswith("x.jsonl:2: ")
    assert said in error
    assert len(error.splitlines()) == 1


def test_links_are_followed_to_files_only(archive: Archive, tmp_path: Path) -> None:
    """A circle of folders ends, and nothing outside the archive is walked through."""
    outside = Archive(tmp_path / "outside")
    outside.front("x.md", id="outside")
    linked = outside.front("y.md", id="linked")
    (archive.path / "loop").symlink_to(archive.path)
    (archive.path / "out").symlink_to(outside.path)
    (archive.path / "y.md").symlink_to(linked)
    (archive.path / "broken.md").symlink_to("nowhere")
    (archive.path / "self.md").symlink_to("self.md")
    os.mkfifo(archive.path / "pipe.jsonl")
    (archive.path / "folder.md").mkdir()
    link = "a link to a folder is not followed; name the folder itself"
    assert contents(archive) == [
        f"loop: {link}",
        f"out: {link}",
        "broken.md: file: cannot be read: No such file or directory",
        "pipe.jsonl: file: is no regular file",
        "self.md: file: cannot be read: Too many levels of symbolic links",
        "linked",
    ]


def test_a_file_that_cannot_be_read_is_reported(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, which may read everything, so the refusal is faked."""
    archive.front("a.md")
    archive.write("b.jsonl", LINE)

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    assert contents(archive) == [
        "a.md: file: cannot be read: Permission denied",
        "b.jsonl: file: cannot be read: Permission denied",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "cannot read .*none: No such file"),
        ("x.txt", "accepted are a folder, .md"),
        ("a\0b", "cannot read"),
    ],
)
def test_a_path_that_is_no_archive_stops_everything(archive: Archive, name: str, said: str) -> None:
    """Before anything is read."""
    archive.write("x.txt", "x")
    with pytest.raises(ArchiveError, match=said):
        read(archive.path, archive.path / name)
