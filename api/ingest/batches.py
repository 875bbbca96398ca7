"""The rows of one file in batches, each row converted and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.ingest.errors import RowRejected
from api.ingest.identity import Identities
from api.ingest.lines import Lines
from api.ingest.mapping import ColumnMapping
from api.ingest.plan import Plan
from api.ingest.rows import Row
from api.ingest.source import Source, find_source, preview

BATCH_BYTES = 8 * 2**20
"""A batch ends early once it holds this much text."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row that can be loaded."""

    public_id: str
    values: dict[str, Any]
    """Typed, by field; only fields that are mapped."""
    row: Row


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that cannot."""

    row: Row
    error: RowRejected


@dataclass(slots=True)
class Batch:
    """Some consecutive rows of the file; none at its end."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    position: int = 0
    """Bytes of the file read so far."""

    def __len__(self) -> int:
        return len(self.records) + len(self.rejects)


class BatchReader:
    """Reads one file from its beginning. Blocks, and belongs to one thread."""

    source: Source
    plan: Plan
    _lines: Lines
    _rows: Iterator[Row]
    _identities: Identities

    def __init__(self, path: Path, mapping: ColumnMapping, rows_per_batch: int) -> None:
        self._path = path
        self._mapping = mapping
        self._rows_per_batch = rows_per_batch
        self._resources = ExitStack()

    def open(self) -> None:
        """Checks the file as a whole. Raises InputError or MappingError for what is wrong with it."""
        self.source = find_source(self._path, self._mapping.file)
        self.plan = Plan(self._mapping, self.source, preview(self.source))
        self._lines, self._rows = self._resources.enter_context(self.source.open())
        self._identities = self._resources.enter_context(closing(Identities(self._mapping.kind.id_prefix)))

    def next_batch(self) -> Batch:
        """The next rows; an empty batch at the end."""
        batch = Batch()
        full_at = self._lines.position + BATCH_BYTES
        while len(batch) < self._rows_per_batch and self._lines.position < full_at:
            row = next(self._rows, None)
            if row is None:
                break
            self._take(row, batch)
        batch.position = self._lines.position
        return batch

    def close(self) -> None:
        """Closes the file."""
        self._resources.close()

    def _take(self, row: Row, batch: Batch) -> None:
        try:
            values = self.plan.convert(row)
        except RowRejected as error:
            batch.rejects.append(Reject(row, error))
            return
        public_id = values.pop("id", None) or self._identities.next_id(row.values)
        batch.records.append(Record(public_id, values, row))
