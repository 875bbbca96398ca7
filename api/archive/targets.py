"""Where an export goes: a folder of Markdown files, a file of JSON Lines, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO
from uuid import uuid4

from api.archive.errors import ArchiveError
from api.archive.files import STANDARD_STREAM, Format, format_of
from api.archive.json_lines import write_json_line
from api.archive.markdown import write_markdown
from api.archive.postmortem_files import file_stem

Members = dict[str, Any]
"""One incident as JSON; its `postmortem` holds the Markdown."""


class Target(Protocol):
    """Where an export goes. All methods block: call them in one thread."""

    def open(self, *, replace: bool) -> None:
        """Raises ArchiveError for what cannot be written, or is there already."""

    def add(self, incidents: Sequence[Members]) -> None:
        """Writes incidents. Raises OSError."""

    def close(self, *, complete: bool) -> None:
        """Puts what was written in its place; with less than all of it, leaves nothing half-written."""


def target_of(path: Path) -> Target:
    """The target that a path names. Raises ArchiveError."""
    if str(path) == STANDARD_STREAM:
        return _StandardOutput()
    kind = format_of(path)
    if kind is Format.JSON_LINES:
        return _JsonLinesFile(path)
    if kind is Format.MARKDOWN or path.is_file():
        raise ArchiveError(
            f"cannot export to {path}; accepted are a folder, a file .jsonl, or - for standard output"
        )
    return _Folder(path)


class _Draft:
    """A file that takes its place in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.stem[:40]}.{uuid4().hex}.tmp")
        self.file: TextIO = self._draft.open("x", encoding="utf-8", newline="")

    def end(self, *, keep: bool) -> None:
        """Puts it in its place, or removes it."""
        try:
            with self.file:
                if keep:
                    self.file.flush()
                    os.fsync(self.file.fileno())
            if keep:
                self._draft.replace(self._path)
        finally:
            self._draft.unlink(missing_ok=True)


class _Folder:
    """A Markdown file for each incident."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, *, replace: bool) -> None:
        """Makes the folder."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            if not replace and any(self._path.iterdir()):
                raise ArchiveError(
                    f"the folder {self._path} is not empty; name another one, or say --replace"
                )
        except OSError as error:
            raise ArchiveError(f"cannot write to {self._path}: {error.strerror}") from None

    def add(self, incidents: Sequence[Members]) -> None:
        """Writes each file in one step."""
        for members in incidents:
            about = members.get("postmortem")
            text = about.pop("markdown") if about else ""
            draft = _Draft(self._path / f"{file_stem(members['id'])}.md")
            written = False
            try:
                draft.file.write(write_markdown(members, text))
                written = True
            finally:
                draft.end(keep=written)

    def close(self, *, complete: bool) -> None:
        """Does nothing: files that are there are whole."""


class _JsonLinesFile:
    """One file, which takes its place when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, *, replace: bool) -> None:
        """Begins the file beside its place."""
        try:
            if not replace and self._path.exists():
                raise ArchiveError(
                    f"{self._path} is there already; name another file, or say --replace to overwrite it"
                )
            self._draft = _Draft(self._path)
        except OSError as error:
            raise ArchiveError(f"cannot write to {self._path}: {error.strerror}") from None

    def add(self, incidents: Sequence[Members]) -> None:
        """Writes lines."""
        self._draft.file.writelines(map(write_json_line, incidents))

    def close(self, *, complete: bool) -> None:
        """Puts the file in its place, or removes what there is of it."""
        self._draft.end(keep=complete)


class _StandardOutput:
    """JSON Lines in UTF-8, whatever the terminal's encoding."""

    def open(self, *, replace: bool) -> None:
        """Does nothing."""

    def add(self, incidents: Sequence[Members]) -> None:
        """Writes lines."""
        sys.stdout.buffer.writelines(write_json_line(members).encode() for members in incidents)

    def close(self, *, complete: bool) -> None:  # noqa: ARG002  as every target
        """Writes out what is buffered."""
        sys.stdout.buffer.flush()
