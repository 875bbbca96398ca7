"""The documents of an archive in batches, in their order."""

from __future__ import annotations

import stat
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from api.archive.document_parser import parse_document
from api.archive.documents import ImportDefaults, IncidentDocument, RawDocument
from api.archive.errors import DocumentRejected, DocumentSkipped, Location
from api.archive.files import JSON_LINES, STANDARD_STREAM, find_files
from api.archive.front_matter import MAX_BYTES, read_markdown
from api.archive.json_lines import read_json_lines

DOCUMENTS_PER_BATCH = 500
_MAX_BATCH_CHARACTERS = 8 * 2**20

Item = IncidentDocument | DocumentRejected | DocumentSkipped
"""A document, why it cannot be imported, or why a file is none."""


class ArchiveReader:
    """Reads an archive from its beginning. All methods block; `close` waits for the one that is running."""

    total: int = 0
    """Documents, 0 if not known before all are read."""

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
        paths = [file for file in files if isinstance(file, Path)]
        is_known = not any(
            str(path) == STANDARD_STREAM or path.suffix.lower() in JSON_LINES for path in paths
        )
        self.total = len(paths) if is_known else 0
        self._items = self._each(files)

    def next_batch(self) -> list[Item]:
        """Return the next documents, none at the end."""
        batch: list[Item] = []
        characters = 0
        with self._lock:
            for item in self._items:
                batch.append(item)
                characters += len(item.markdown or "") if isinstance(item, IncidentDocument) else 0
                if len(batch) >= self._per_batch or characters > _MAX_BATCH_CHARACTERS:
                    break
        return batch

    def close(self) -> None:
        """Close the file that is being read."""
        with self._lock:
            self._items.close()

    def _each(self, files: Sequence[Path | DocumentSkipped]) -> Generator[Item]:
        for file in files:
            try:
                for raw in [file] if isinstance(file, DocumentSkipped) else _read(file):
                    yield self._document(raw) if isinstance(raw, RawDocument) else raw
            except DocumentRejected as error:
                yield error
            except OSError as error:
                yield DocumentRejected(Location(str(file)), "file", f"cannot be read: {error.strerror}")

    def _document(self, raw: RawDocument) -> Item:
        try:
            document = parse_document(raw, self._defaults)
        except (DocumentRejected, DocumentSkipped) as error:
            return error
        first = self._locations.setdefault(document.public_id, document.location)
        if first != document.location:
            reason = f"{document.public_id!r} is in this archive already, at {first}; accepted is one of each"
            return raw.rejected("id", reason)
        return document


def _read(path: Path) -> Iterator[RawDocument | DocumentRejected]:
    if str(path) == STANDARD_STREAM:
        yield from read_json_lines(sys.stdin.buffer, "standard input")
        return
    if not stat.S_ISREG(path.stat().st_mode):
        raise DocumentRejected(Location(str(path)), "file", "is no regular file")
    with path.open("rb") as stream:
        if path.suffix.lower() in JSON_LINES:
            yield from read_json_lines(stream, str(path))
            return
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise DocumentRejected(Location(str(path)), "file", f"is larger than {MAX_BYTES:,} bytes")
    yield read_markdown(content, str(path))
