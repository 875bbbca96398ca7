"""The documents of an archive in batches, in their order."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from api.archive.document import Document
from api.archive.errors import DocumentRejected, Place
from api.archive.files import STANDARD_STREAM, ArchiveFile, Format, find_files
from api.archive.json_lines import read_json_lines
from api.archive.markdown import MAX_BYTES, read_markdown
from api.archive.readings import Assumptions, Written, read_document

DOCUMENTS_PER_BATCH = 500
_BATCH_CHARACTERS = 8 * 2**20
"""A batch ends early once it holds this much text."""
_COUNTED_BYTES = 2**20


@dataclass(slots=True)
class Batch:
    """Some consecutive documents; none at the end."""

    documents: list[Document] = field(default_factory=list)
    rejected: list[DocumentRejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""

    def __len__(self) -> int:
        return len(self.documents) + len(self.rejected) + len(self.notes)


class ArchiveReader:
    """Reads an archive from its beginning. Blocks, and belongs to one thread."""

    total: int
    """Files and lines, before any is read; of standard input not known: 0."""

    def __init__(
        self, paths: Sequence[Path], assumptions: Assumptions, *, per_batch: int = DOCUMENTS_PER_BATCH
    ) -> None:
        self._paths = paths
        self._assumptions = assumptions
        self._per_batch = per_batch
        self._resources = ExitStack()
        self._places: dict[str, Place] = {}

    def open(self) -> None:
        """Finds the files. Raises ArchiveError."""
        files = find_files(self._paths)
        self.total = sum(_count(file) for file in files)
        self._written = self._each(files)
        self._resources.callback(self._written.close)

    def next_batch(self) -> Batch:
        """The next documents; an empty batch at the end."""
        batch, characters = Batch(), 0
        while len(batch) < self._per_batch and characters < _BATCH_CHARACTERS:
            item = next(self._written, None)
            if item is None:
                break
            if isinstance(item, str):
                batch.notes.append(item)
                continue
            try:
                document = self._document(item)
            except DocumentRejected as error:
                batch.rejected.append(error)
                continue
            batch.documents.append(document)
            characters += len(document.postmortem.markdown) if document.postmortem else 0
        return batch

    def close(self) -> None:
        """Closes the file that is being read."""
        self._resources.close()

    def _document(self, item: Written | DocumentRejected) -> Document:
        if isinstance(item, DocumentRejected):
            raise item
        document = read_document(item, self._assumptions)
        first = self._places.setdefault(document.public_id, document.place)
        if first != document.place:
            where = document.place_of("id")
            reason = f"{document.public_id!r} is in this archive already, at {first}; each can be there once"
            raise DocumentRejected(where, "id", reason)
        return document

    def _each(self, files: Sequence[ArchiveFile]) -> Generator[Written | DocumentRejected | str]:
        for file in files:
            if file.is_folder_link:
                yield f"{file.path}: a link to a folder is not followed; name the folder itself"
                continue
            try:
                yield from _read(file)
            except DocumentRejected as error:
                yield error
            except OSError as error:
                yield DocumentRejected(Place(str(file.path)), "file", f"cannot be read: {error.strerror}")


def _read(file: ArchiveFile) -> Iterator[Written | DocumentRejected]:
    shown = str(file.path)
    if shown == STANDARD_STREAM:
        yield from read_json_lines(sys.stdin.buffer, "standard input")
        return
    if not stat.S_ISREG(file.path.stat().st_mode):
        raise DocumentRejected(Place(shown), "file", "is no regular file")
    with file.path.open("rb") as stream:
        if file.format is Format.JSON_LINES:
            yield from read_json_lines(stream, shown)
            return
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DocumentRejected(
            Place(shown), "file", f"is larger than {MAX_BYTES:,} bytes; accepted are documents"
        )
    yield read_markdown(content, shown)


def _count(file: ArchiveFile) -> int:
    """How many documents it seems to hold; what cannot be read is told when it is read."""
    if file.format is Format.MARKDOWN or str(file.path) == STANDARD_STREAM:
        return int(file.format is Format.MARKDOWN)
    try:
        if not file.path.is_file():
            return 1
        with file.path.open("rb") as stream:
            return sum(chunk.count(b"\n") for chunk in _chunks(stream))
    except OSError:
        return 1


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    read: Callable[[], bytes] = lambda: stream.read(_COUNTED_BYTES)  # noqa: E731  iter wants it as a value
    return iter(read, b"")
