"""The files of an archive, found before any is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from api.archive.errors import ArchiveError

STANDARD_STREAM = "-"
ACCEPTED = "a folder, .md, .markdown, .jsonl, .ndjson, or - for JSON Lines on standard input"


class Format(StrEnum):
    """How a file is written."""

    MARKDOWN = "markdown"
    JSON_LINES = "json lines"


_FORMATS = {
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
}


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One file to read, or a link to a folder, which is told and not followed."""

    path: Path
    format: Format
    is_folder_link: bool = False


def format_of(path: Path) -> Format | None:
    """By the end of its name; None: it is no file of an archive."""
    return _FORMATS.get(path.suffix.lower())


def find_files(paths: Sequence[Path]) -> list[ArchiveFile]:
    """All files below the paths, in the order of the paths and then of their names; hidden ones are left out.

    Raises ArchiveError for a path that is not there or of no known kind. Blocks.
    """
    found = [file for path in paths for file in _below(path)]
    return list({str(file.path): file for file in found}.values())


def _below(path: Path) -> Iterator[ArchiveFile]:
    if str(path) == STANDARD_STREAM:
        yield ArchiveFile(path, Format.JSON_LINES)
        return
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # the latter for a NUL in it
        raise ArchiveError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(mode):
        yield from _in_folder(path)
    elif known := format_of(path):
        yield ArchiveFile(path, known)
    else:
        raise ArchiveError(f"{path} is no archive; accepted are {ACCEPTED}")


def _in_folder(folder: Path) -> Iterator[ArchiveFile]:
    """Links to folders are not followed: they may lead in a circle, or out of the archive."""

    def refuse(error: OSError) -> None:
        raise ArchiveError(f"cannot read {error.filename}: {error.strerror}") from None

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (link := Path(where, name)).is_symlink():
                yield ArchiveFile(link, Format.MARKDOWN, is_folder_link=True)
        for name in sorted(names):
            known = format_of(Path(name))
            if known and not name.startswith("."):
                yield ArchiveFile(Path(where, name), known)
