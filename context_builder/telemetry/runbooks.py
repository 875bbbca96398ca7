"""Reads the operator's runbooks, a folder of Markdown files, and splits them into passages."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from context_builder.text.formatting import format_list
from context_builder.text.markdown import blocks, sections

MAX_FILES = 500
MAX_FILE_BYTES = 256 * 1024
MAX_BYTES = 2 * 1024 * 1024
MAX_PASSAGE_CHARACTERS = 900
"""Longer sections are split between blocks or list items."""
MAX_PASSAGES = 5_000
_MAX_NAMES_PER_GAP = 5


@dataclass(frozen=True, slots=True)
class Passage:
    """A section of a runbook, or part of a long one."""

    file: str
    """Path relative to the folder, with slashes."""
    heading: str
    """The enclosing headings, outermost first: `Deployment down > Roll back`."""
    text: str
    modified_at: datetime
    """Modification time of the file."""


@dataclass(frozen=True, slots=True)
class RunbookLibrary:
    """The passages of a folder, and the files that could not be used."""

    passages: tuple[Passage, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class _RunbookFile:
    """A file with its metadata; equal metadata means equal content."""

    name: str
    path: Path
    size: int
    modified_ns: int
    changed_ns: int
    """Time of the last change of content, owner or permissions."""


@dataclass(slots=True)
class _SkippedFiles:
    """Names of unusable files, by reason."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def gaps(self) -> tuple[str, ...]:
        return tuple(
            f"runbooks {reason}: {format_list(sorted(names), _MAX_NAMES_PER_GAP)}"
            for reason, names in sorted(self.names.items())
        )


class Runbooks:
    """A folder of runbooks, reread whenever its files change; empty without a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._seen: tuple[list[_RunbookFile], tuple[str, ...]] | None = None
        self._library = RunbookLibrary()

    async def library(self) -> RunbookLibrary:
        """Load all current passages; unreadable files become gaps, never errors."""
        if self.folder is None:
            return RunbookLibrary()
        return await asyncio.to_thread(self._read, self.folder)

    def _read(self, folder: Path) -> RunbookLibrary:
        skipped = _SkippedFiles()
        # A caller that times out leaves its thread running; the next one must not repeat its work.
        with self._lock:
            files = _find_files(folder, skipped)
            seen = (files, skipped.gaps())
            if seen != self._seen:
                passages = tuple(_passages(files, skipped))
                self._library = RunbookLibrary(passages, skipped.gaps())
                self._seen = seen
            return self._library


def _find_files(folder: Path, skipped: _SkippedFiles) -> list[_RunbookFile]:
    """Find the Markdown files below the folder, sorted by name."""

    def unreadable(error: OSError) -> None:
        skipped.add("in an unreadable folder", Path(error.filename or folder).name)

    root = Path(os.path.realpath(folder))
    paths: list[Path] = []
    for parent, folders, names in os.walk(root, onerror=unreadable):
        # Hidden folders belong to version control, or to mounts that swap folders.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Sorted, so that the first MAX_FILES do not depend on the file system.
        markdown = sorted(name for name in names if name.lower().endswith(".md") and name[0] != ".")
        paths += [Path(parent, name) for name in markdown]
        if len(paths) > MAX_FILES:
            skipped.add(f"beyond the first {MAX_FILES} files", root.name)
            break
    files = []
    for path in paths[:MAX_FILES]:
        name = path.relative_to(root).as_posix()
        reason, file = _inspect(path, name, root)
        if file is None:
            skipped.add(reason, name)
        else:
            files.append(file)
    return sorted(files)


def _inspect(path: Path, name: str, root: Path) -> tuple[str, _RunbookFile | None]:
    """Return the file, or the reason why it is skipped."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        return "linked from outside the folder", None
    try:
        found = real.stat()
    except OSError:
        return "that cannot be read", None
    if not stat.S_ISREG(found.st_mode):
        return "not regular files", None
    if found.st_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES // 1024} KiB", None
    return "", _RunbookFile(name, real, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _passages(files: Iterable[_RunbookFile], skipped: _SkippedFiles) -> Iterator[Passage]:
    remaining, count = MAX_BYTES, 0
    for file in files:
        remaining -= file.size
        if remaining < 0:
            skipped.add(f"beyond the first {MAX_BYTES // 1024**2} MiB", file.name)
            continue
        modified = datetime.fromtimestamp(file.modified_ns / 1e9, UTC)
        for heading, text in headed_passages(_read_text(file, skipped)):
            if count == MAX_PASSAGES:
                skipped.add(f"beyond the first {MAX_PASSAGES:,} passages", file.name)
                break
            count += 1
            yield Passage(file.name, heading, text, modified)


def _read_text(file: _RunbookFile, skipped: _SkippedFiles) -> str:
    """Read the file; empty if it is not readable UTF-8 text."""
    try:
        with file.path.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError:
        skipped.add("that cannot be read", file.name)
        return ""
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        skipped.add("not in UTF-8", file.name)
        return ""
    return text


def headed_passages(text: str) -> Iterator[tuple[str, str]]:
    """Split a Markdown text into passages, each with its enclosing headings; empty sections are omitted."""
    headings: list[tuple[int, str]] = []
    for section in sections("\n".join(text.splitlines())):
        headings = [(level, title) for level, title in headings if level < section.level]
        if section.level:
            headings.append((section.level, section.title))
        path = " > ".join(title for _, title in headings)
        passage: list[str] = []
        for block in filter(None, blocks(section.own_text)):
            if passage and sum(map(len, passage)) + len(block) > MAX_PASSAGE_CHARACTERS:
                yield path, "\n".join(passage)
                passage = []
            passage.append(block)
        if passage:
            yield path, "\n".join(passage)
