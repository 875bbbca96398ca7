"""The operator's runbooks: a folder of Markdown files, read in a thread and split into passages."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from context_builder.text.formatting import format_name

MAX_FILES = 500
MAX_FILE_BYTES = 256 * 1024
MAX_BYTES = 2 * 1024 * 1024
MAX_PASSAGE_CHARACTERS = 900
"""Longer sections are split where a paragraph or list begins."""
MAX_PASSAGES = 5_000
_GAPS_NAMED = 5
_PARSER = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class Passage:
    """A section of a runbook, or a part of a long one."""

    file: str
    """Path below the folder, with slashes."""
    heading: str
    """The headings that it stands under, outermost first: `Deployment down > Roll back`."""
    text: str
    modified_at: datetime
    """When its file was last written."""


@dataclass(frozen=True, slots=True)
class RunbookLibrary:
    """What the folder holds, and which files of it could not be used."""

    passages: tuple[Passage, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class _RunbookFile:
    """A file as it was found; another of the same identity has the same content."""

    name: str
    path: Path
    size: int
    modified_ns: int
    changed_ns: int
    """When its content, owner or permissions last changed."""


@dataclass(slots=True)
class _SkippedFiles:
    """What could not be used, by reason."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.names.setdefault(reason, []).append(name)

    def sentences(self) -> Iterator[str]:
        for reason, found in sorted(self.names.items()):
            shown = ", ".join(format_name(name) for name in sorted(found)[:_GAPS_NAMED])
            more = f" and {len(found) - _GAPS_NAMED:,} more" if len(found) > _GAPS_NAMED else ""
            yield f"runbooks {reason}: {shown}{more}"


class Runbooks:
    """Reads a folder again whenever its files have changed; without one it is empty."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._seen: tuple[list[_RunbookFile], list[str]] | None = None
        self._library = RunbookLibrary()

    async def library(self) -> RunbookLibrary:
        """All passages as the files are now. Raises nothing: what cannot be read is a gap."""
        if self.folder is None:
            return RunbookLibrary()
        return await asyncio.to_thread(self._read, self.folder)

    def _read(self, folder: Path) -> RunbookLibrary:
        complaints = _SkippedFiles()
        # A caller that gives up leaves its thread running: the next one must not read the same again.
        with self._lock:
            files = _find_files(folder, complaints)
            seen = (files, list(complaints.sentences()))
            if seen != self._seen:
                passages = tuple(_passages(files, complaints))
                self._library = RunbookLibrary(passages, tuple(complaints.sentences()))
                self._seen = seen
            return self._library


def _find_files(folder: Path, complaints: _SkippedFiles) -> list[_RunbookFile]:
    """The Markdown files below the folder, in the order of their names."""

    def unreadable(error: OSError) -> None:
        complaints.add("in a folder that cannot be read", Path(error.filename or folder).name)

    root = Path(os.path.realpath(folder))
    paths: list[Path] = []
    for parent, folders, names in os.walk(root, onerror=unreadable):
        # Hidden folders are those of version control and of mounts that swap folders.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Sorted: which files are the first must not depend on the file system.
        markdown = sorted(name for name in names if name.lower().endswith(".md") and name[0] != ".")
        paths += [Path(parent, name) for name in markdown]
        if len(paths) > MAX_FILES:
            complaints.add(f"beside the first {MAX_FILES} files", root.name)
            break
    files = []
    for path in paths[:MAX_FILES]:
        name = path.relative_to(root).as_posix()
        reason, file = _inspect(path, name, root)
        if file is None:
            complaints.add(reason, name)
        else:
            files.append(file)
    return sorted(files)


def _inspect(path: Path, name: str, root: Path) -> tuple[str, _RunbookFile | None]:
    """The file, or why it is not used."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        return "that are links out of the folder", None
    try:
        found = real.stat()
    except OSError:
        return "that cannot be read", None
    if not stat.S_ISREG(found.st_mode):
        return "that are no files", None
    if found.st_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES // 1024} KiB", None
    return "", _RunbookFile(name, real, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _passages(files: Iterable[_RunbookFile], complaints: _SkippedFiles) -> Iterator[Passage]:
    left, passages = MAX_BYTES, 0
    for file in files:
        left -= file.size
        if left < 0:
            complaints.add(f"beside the first {MAX_BYTES // 1024**2} MiB", file.name)
            continue
        modified = datetime.fromtimestamp(file.modified_ns / 1e9, UTC)
        for heading, part in sections(_read_text(file, complaints)):
            if passages == MAX_PASSAGES:
                complaints.add(f"beside the first {MAX_PASSAGES:,} passages", file.name)
                break
            passages += 1
            yield Passage(file.name, heading, part, modified)


def _read_text(file: _RunbookFile, complaints: _SkippedFiles) -> str:
    """What the file says; nothing where that cannot be read."""
    try:
        with file.path.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError:
        complaints.add("that cannot be read", file.name)
        return ""
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        complaints.add("that are not UTF-8 text", file.name)
        return ""
    return text


def sections(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a Markdown text with the headings that each stands under; headings alone are no part."""
    lines = text.splitlines()
    above: list[tuple[int, str]] = []
    block: list[str] = []
    length = 0
    blocks = _blocks(_PARSER.parse("\n".join(lines)))
    for level, title, start, end in blocks:
        body = "\n".join(lines[start:end]).strip()
        if block and (level or length + len(body) > MAX_PASSAGE_CHARACTERS):
            yield " > ".join(name for _, name in above), "\n".join(block)
            block, length = [], 0
        if level:
            above = [(depth, name) for depth, name in above if depth < level] + [(level, title)]
        elif body:
            block.append(body)
            length += len(body)
    if block:
        yield " > ".join(name for _, name in above), "\n".join(block)


def _blocks(tokens: list[Token]) -> Iterator[tuple[int, str, int, int]]:
    """Top-level blocks and items of lists: heading level or 0, heading, first line, one after the last."""
    for position, token in enumerate(tokens):
        if token.map is None or token.nesting < 0:
            continue
        start, end = token.map
        if token.type == "heading_open" and token.level == 0:
            yield int(token.tag[1:]), tokens[position + 1].content, start, end
        elif (token.level == 0 and not token.type.endswith("list_open")) or (
            token.type == "list_item_open" and token.level == 1
        ):
            yield 0, "", start, end
