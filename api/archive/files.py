"""The files of an archive, found before any is read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from api.archive.errors import ArchiveError, DocumentSkipped, Location

STANDARD_STREAM = "-"
JSON_LINES = (".jsonl", ".ndjson")
MARKDOWN = (".md", ".markdown")
_ACCEPTED = "a folder, .md, .markdown, .jsonl, .ndjson, or - for JSON Lines on standard input"
_NOT_DOCUMENTS = re.compile(
    r"[\W_\d]*(?:readme|index|toc|contributing|license|changelog|code[-_ ]of[-_ ]conduct"
    r"|(?:(?:post-?mortems?|incidents?|pm|rca|report|blank|coe|example)[-_. ])*template)[\W_\d]*",
    re.IGNORECASE,
)
"""Names of Markdown files that lie beside postmortems and are none."""


def find_files(paths: Sequence[Path]) -> list[Path | DocumentSkipped]:
    """Return all files below the paths, in their order and then by name, and why others are left out.

    Blocks.

    Raises:
        ArchiveError: a path does not exist or is of no known kind.
    """
    found: dict[str, Path | DocumentSkipped] = {}
    for path in paths:
        try:
            is_folder = str(path) != STANDARD_STREAM and stat.S_ISDIR(path.stat().st_mode)
        except (OSError, ValueError) as error:  # the latter for a NUL in it
            raise ArchiveError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
        if (
            not is_folder
            and str(path) != STANDARD_STREAM
            and path.suffix.lower() not in (*MARKDOWN, *JSON_LINES)
        ):
            raise ArchiveError(f"{path} is no archive; accepted are {_ACCEPTED}")
        found |= {str(each): each for each in (_in_folder(path) if is_folder else [path])}
    return list(found.values())


def _in_folder(folder: Path) -> Iterator[Path | DocumentSkipped]:
    """Yield the files below a folder that are not hidden."""

    def refuse(error: OSError) -> None:
        raise ArchiveError(f"cannot read {error.filename}: {error.strerror}") from None

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for link in (Path(where, name) for name in folders):
            # It may lead in a circle, or out of the archive.
            if link.is_symlink():
                reason = "a link to a folder is not followed; name the folder itself"
                yield DocumentSkipped(Location(str(link)), reason)
        for path in (Path(where, name) for name in sorted(names) if not name.startswith(".")):
            suffix = path.suffix.lower()
            if suffix in MARKDOWN and _NOT_DOCUMENTS.fullmatch(path.stem):
                reason = "is left out because of its name; name the file itself to import it"
                yield DocumentSkipped(Location(str(path)), reason)
            elif suffix in (*MARKDOWN, *JSON_LINES):
                yield path
