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
ACCEPTED_PATHS = "a folder, .md, .markdown, .jsonl, .ndjson, or - for JSON Lines on standard input"
_NOT_DOCUMENTS = ("readme", "index", "template", "contributing", "license", "changelog")
"""Names of Markdown files that lie beside incidents and are none."""


class ArchiveFormat(StrEnum):
    """How a file is written."""

    MARKDOWN = "markdown"
    JSON_LINES = "json lines"


_FORMATS = {
    ".md": ArchiveFormat.MARKDOWN,
    ".markdown": ArchiveFormat.MARKDOWN,
    ".jsonl": ArchiveFormat.JSON_LINES,
    ".ndjson": ArchiveFormat.JSON_LINES,
}


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file to read, or something that is left out and reported."""

    path: Path
    format: ArchiveFormat = ArchiveFormat.MARKDOWN
    left_out: str = ""
    """Why it is not read; empty if it is."""


def format_of(path: Path) -> ArchiveFormat | None:
    """Return the format that the end of a name stands for, None if it is no file of an archive."""
    return _FORMATS.get(path.suffix.lower())


def find_files(paths: Sequence[Path]) -> list[ArchiveFile]:
    """Return all files below the paths, in the order of the paths and then of their names. Blocks.

    Hidden files are skipped.

    Raises:
        ArchiveError: a path does not exist or is of no known kind.
    """
    found = [file for path in paths for file in _below(path)]
    return list({str(file.path): file for file in found}.values())


def _below(path: Path) -> Iterator[ArchiveFile]:
    if str(path) == STANDARD_STREAM:
        yield ArchiveFile(path, ArchiveFormat.JSON_LINES)
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
        raise ArchiveError(f"{path} is no archive; accepted are {ACCEPTED_PATHS}")


def _in_folder(folder: Path) -> Iterator[ArchiveFile]:
    """Yield the files of a folder; links to folders may lead in a circle, or out of the archive."""

    def refuse(error: OSError) -> None:
        raise ArchiveError(f"cannot read {error.filename}: {error.strerror}") from None

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (link := Path(where, name)).is_symlink():
                left_out = "a link to a folder is not followed; name the folder itself"
                yield ArchiveFile(link, left_out=left_out)
        for name in sorted(names):
            path = Path(where, name)
            known = format_of(path)
            if known is None or name.startswith("."):
                continue
            is_other = known is ArchiveFormat.MARKDOWN and path.stem.lower() in _NOT_DOCUMENTS
            yield ArchiveFile(path, known, "taken for no incident; name the file itself" if is_other else "")
