"""The rows of one file in batches, as records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from api.ingest.errors import InputError, MappingError
from api.ingest.files.bindings import Bindings, bind, explain
from api.ingest.files.data_file import open_rows
from api.ingest.files.lines import Row
from api.ingest.files.mapping import ColumnMapping
from api.ingest.files.row_ids import RowIds
from api.ingest.files.rows import CsvRows
from api.ingest.records import FieldProblem, NamedRecord, Record, RecordInvalid
from api.ingest.records.parsing import shows_signs
from api.ingest.records.problems import NO_FORMAT, NO_UNIT, NO_ZONE, OTHER_SIGN

MAX_BATCH_BYTES = 8 * 2**20
"""A batch ends once it holds this much text."""


@dataclass(slots=True)
class Batch:
    """Consecutive rows of a file."""

    size: int
    """Bytes of the file, of Parquet an estimate of its rows as JSON."""
    rows: list[Row] = field(default_factory=list)
    """The rows of `records`, in the same order."""
    records: list[Record] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    position: int = 0
    """Bytes of the file read so far."""
    remarks: Counter[str] = field(default_factory=Counter)
    """How often something was decided while reading values of the records."""


def read_batches(path: Path, mapping: ColumnMapping, rows_per_batch: int) -> Generator[Batch]:
    """Yield the batches of a file. Blocks.

    The columns of JSON Lines and Parquet are those of the first batch.

    Raises:
        InputError: the file cannot be used; before the first batch.
        MappingError: the mapping does not fit the file; before the first batch.
    """
    kind = mapping.record_type
    # Only rows with ids of their own need one.
    prefix = kind.id_prefix if issubclass(kind, NamedRecord) else ""
    with open_rows(path, mapping.file) as rows, closing(RowIds(prefix)) as ids:
        taken = _take(rows, rows_per_batch)
        if isinstance(rows, CsvRows):
            where, columns = f"{path}: line 1", rows.columns
        else:
            where, columns = f"{path}: first rows", tuple({name: 0 for row in taken for name in row.values})
        _check_readable(path, columns, taken)
        bindings = bind(mapping, columns, where)
        batch = _batch(taken, bindings, ids, rows.size)
        _check_notation(path, batch, bindings)
        while taken:
            yield batch
            taken = _take(rows, rows_per_batch)
            batch = _batch(taken, bindings, ids, rows.size)


def _take(rows: Iterator[Row], limit: int) -> list[Row]:
    taken: list[Row] = []
    for row in islice(rows, limit):
        taken.append(row)
        if row.end - taken[0].end >= MAX_BATCH_BYTES:
            break
    return taken


def _batch(rows: Sequence[Row], bindings: Bindings, ids: RowIds, size: int) -> Batch:
    batch = Batch(size, position=rows[-1].end if rows else size)
    for row in rows:
        if row.problems:
            batch.rejects.append(row)
            continue
        values = bindings.values(row.values)
        if issubclass(bindings.record_type, NamedRecord) and not values.get("id"):
            # Equal rows are all accepted or all rejected, so that rejects do not change any id.
            values["id"] = ids.next_id(row.values)
        bindings.options.remarks.clear()
        try:
            batch.records.append(bindings.parse(values))
            batch.rows.append(row)
            batch.remarks.update(bindings.options.remarks)
        except RecordInvalid as error:
            batch.rejects.append(replace(row, problems=error.problems))
    return batch


def _check_readable(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    if not rows:
        raise InputError(f"{path}: has column names, but no rows follow")
    for problem in rows[0].problems:
        if not columns or problem.kind == "not UTF-8":
            raise InputError(f"{path}: line {rows[0].line}: {problem}")


def _check_notation(path: Path, batch: Batch, bindings: Bindings) -> None:
    """Refuse the file if all times of a column leave zone, unit or format open, or numbers their signs."""
    first: dict[tuple[str, str], tuple[int, FieldProblem]] = {}
    for row in batch.rejects:
        for problem in row.problems:
            first.setdefault((problem.field, problem.kind), (row.line, problem))
    if still_open := [each for each in first.values() if _is_open(each[1], batch, bindings)]:
        told = "; ".join(explain(problem) for _, problem in still_open)
        raise MappingError(f"{path}: line {min(line for line, _ in still_open)}: {told}")


def _is_open(problem: FieldProblem, batch: Batch, bindings: Bindings) -> bool:
    """Return True if no value of the field shows how those of the file are written."""
    name = problem.field
    if problem.kind in (NO_ZONE, NO_UNIT, NO_FORMAT):
        return all(getattr(record, name) is None for record in batch.records)
    return problem.kind == OTHER_SIGN and not any(
        shows_signs(bindings.fields[name].value(row.values)) for row in batch.rows
    )
