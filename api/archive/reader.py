"""The documents of an archive in batches, in their order."""

from __future__ import annotations

import stat
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from api.archive.document_parser import parse_document
from api.archive.documents import ImportDefaults, IncidentDocument, RawDocument
from api.archive.errors import DocumentRejected, Location
from api.archive.files import STANDARD_STREAM, ArchiveFile, ArchiveFormat, find_files
from api.archive.front_matter import MAX_BYTES, read_markdown
from api.archive.json_lines import read_json_lines

DOCUMENTS_PER_BATCH = 500
_BATCH_CHARACTERS = 8 * 2**20
"""Text after which a batch ends early."""
_COUNTED_BYTES = 2**20


@dataclass(slots=True)
class DocumentBatch:
    """Some consecutive documents; none at the end."""

    documents: list[IncidentDocument] = field(default_factory=list)
    rejected: list[DocumentRejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out or found in the text, a sentence each."""

    def __len__(self) -> int:
        return len(self.documents) + len(self.rejected) + len(self.notes)


class ArchiveReader:
    """Reads an archive from its beginning. All methods block; `close` waits for the one that is running."""

    total: int = 0
    """Files and lines, before any is read; those of standard input are not known."""

    def __init__(
        self, paths: Sequence[Path], defaults: ImportDefaults, *, per_batch: int = DOCUMENTS_PER_BATCH
    ) -> None:
        self._paths = paths
        self._defaults = defaults
        self._per_batch = per_batch
        self._locations: dict[str, Location] = {}
        self._lock = threading.Lock()
        self._items = self._each([])

    def open(self) -> None:
        """Find the files. Raises ArchiveError."""
        files = find_files(self._paths)
        self.total = sum(map(_count, files))
        self._items = self._each(files)

    def next_batch(self) -> DocumentBatch:
        """Return the next documents, an empty batch at the end."""
        batch, characters = DocumentBatch(), 0
        with self._lock:
            for item in self._items:
                if isinstance(item, str):
                    batch.notes.append(item)
                elif isinstance(item, DocumentRejected):
                    batch.rejected.append(item)
                else:
                    batch.documents.append(item)
                    batch.notes += item.notes
                    characters += len(item.markdown or "")
                if len(batch) >= self._per_batch or characters > _BATCH_CHARACTERS:
                    break
        return batch

    def close(self) -> None:
        """Close the file that is being read."""
        with self._lock:
            self._items.close()

    def _each(self, files: Sequence[ArchiveFile]) -> Generator[IncidentDocument | DocumentRejected | str]:
        for file in files:
            if file.left_out:
                yield f"{file.path}: {file.left_out}"
                continue
            try:
                for raw in _read(file):
                    yield raw if isinstance(raw, DocumentRejected) else self._document(raw)
            except DocumentRejected as error:
                yield error
            except OSError as error:
                yield DocumentRejected(
                    Location(str(file.path), 1), "file", f"cannot be read: {error.strerror}"
                )

    def _document(self, raw: RawDocument) -> IncidentDocument | DocumentRejected:
        try:
            document = parse_document(raw, self._defaults)
        except DocumentRejected as error:
            return error
        first = self._locations.setdefault(document.public_id, document.location)
        if first != document.location:
            reason = f"{document.public_id!r} is in this archive already, at {first}; accepted is one of each"
            return DocumentRejected(document.location, "id", reason)
        return document


def _read(file: ArchiveFile) -> Iterator[RawDocument | DocumentRejected]:
    name = str(file.path)
    if name == STANDARD_STREAM:
        yield from read_json_lines(sys.stdin.buffer, "standard input")
        return
    if not stat.S_ISREG(file.path.stat().st_mode):
        raise DocumentRejected(Location(name, 1), "file", "is no regular file")
    with file.path.open("rb") as stream:
        if file.format is ArchiveFormat.JSON_LINES:
            yield from read_json_lines(stream, name)
            return
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DocumentRejected(Location(name, 1), "file", f"is larger than {MAX_BYTES:,} bytes")
    yield read_markdown(content, name)


def _count(file: ArchiveFile) -> int:
    """Return about how many documents a file holds; why it cannot be read is reported when it is read."""
    if file.left_out or str(file.path) == STANDARD_STREAM:
        return 0
    try:
        if file.format is ArchiveFormat.MARKDOWN or not file.path.is_file():
            return 1
        with file.path.open("rb") as stream:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(_COUNTED_BYTES), b""))
    except OSError:
        return 1
