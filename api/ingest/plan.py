"""A mapping made ready for one file: every row becomes typed values, or is rejected with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from api.ingest.errors import MappingError, RowRejected, ZoneOrUnitMissing, shown
from api.ingest.fields import Field
from api.ingest.mapping import ColumnMapping, FieldMapping, near
from api.ingest.rows import Row
from api.ingest.source import Preview, Source
from api.ingest.values import Convert, Moment, Reading
from api.ingest.zones import parse_zone

_LISTED_COLUMNS = 30


@dataclass(frozen=True, slots=True)
class _Filling:
    """How one field gets its value."""

    field: Field
    column: str | None
    """None: every row has `otherwise`."""
    convert: Convert
    meanings: dict[str, str]
    otherwise: Any = None
    """The constant, or what an empty value stands for."""

    def value(self, row: dict[str, str]) -> Any:
        """The field's value in a row. Raises RowRejected."""
        text = "" if self.column is None else row.get(self.column, "")
        text = self.meanings.get(text, text)
        if text:
            return self.convert(text)
        if self.otherwise is None and self.field.required:
            raise RowRejected("missing")
        return self.otherwise


class Plan:
    """Turns the rows of one file into values by field name; only fields that are mapped appear."""

    def __init__(self, mapping: ColumnMapping, source: Source, preview: Preview) -> None:
        """Raises MappingError where the mapping does not fit the file."""
        self.kind = mapping.kind
        self._place = str(source.path)
        self._format = source.format
        self._fillings = tuple(self._bind(mapping, preview.columns))
        mapped = {filling.field.name for filling in self._fillings}
        missing = [field.name for field in self.kind.fields if field.required and field.name not in mapped]
        if missing:
            raise MappingError(
                f"{self._place}: nothing fills {', '.join(missing)}; map each to a column or a constant "
                f"({_listed(preview.columns)})"
            )
        self.fields = frozenset(mapped)
        self.constant_fields = frozenset(
            filling.field.name for filling in self._fillings if filling.column is None
        )
        self._check_times(preview.rows)

    def convert(self, row: Row) -> dict[str, Any]:
        """The row's values. Raises RowRejected."""
        if row.rejected is not None:
            raise row.rejected
        values: dict[str, Any] = {}
        for filling in self._fillings:
            try:
                values[filling.field.name] = filling.value(row.values)
            except RowRejected as error:
                raise type(error)(f"{filling.field.name}: {error.kind}", error.detail) from None
        self.kind.check(values)
        return values

    def _bind(self, mapping: ColumnMapping, columns: tuple[str, ...]) -> Iterable[_Filling]:
        zone = None if mapping.file.zone is None else parse_zone(mapping.file.zone)
        for field in self.kind.fields:
            given = mapping.fields.get(field.name)
            if given is None and mapping.by_name and field.name in columns:
                given = FieldMapping(column=field.name)
            if given is None or not self._has_column(given, field, columns):
                continue
            try:
                convert = field.type.converter(Reading(given.unit, zone))
            except MappingError as error:
                raise MappingError(f"field {field.name}: {error}") from None
            yield _fill(field, given, convert)

    def _has_column(self, given: FieldMapping, field: Field, columns: tuple[str, ...]) -> bool:
        if given.column is None:
            return True
        if columns.count(given.column) > 1:
            raise MappingError(f"{self._place}: line 1 names the column {shown(given.column)} twice")
        if given.column in columns:
            return True
        if given.optional:
            return False
        rows = "the first rows have" if self._format == "jsonl" else "line 1 has"
        hint = near(given.column, columns)
        if len(columns) == 1 and self._format == "csv":
            hint += "; is the delimiter right?"
        raise MappingError(
            f"{self._place}: {rows} no column {shown(given.column)}, which is to fill {field.name}{hint} "
            f"({_listed(columns)})"
        )

    def _check_times(self, rows: Sequence[Row]) -> None:
        for filling in self._fillings:
            if isinstance(filling.field.type, Moment) and (unclear := _unclear_time(filling, rows)):
                raise MappingError(f"{self._place}: {unclear}")


def _unclear_time(filling: _Filling, rows: Sequence[Row]) -> str | None:
    """The first time that leaves zone or unit open, if no row does better and the mapping is at fault."""
    unclear = None
    for row in rows:
        try:
            value = filling.value(row.values)
        except ZoneOrUnitMissing as error:
            unclear = unclear or f"line {row.line}: {filling.field.name}: {error.reason}"
        except RowRejected:
            continue
        else:
            if value is not filling.otherwise:
                return None
    return unclear


def _fill(field: Field, given: FieldMapping, convert: Convert) -> _Filling:
    if field.name == "id" and (given.constant or given.default):
        raise MappingError("field id: has to come from a column; without one, ids are made from the rows")
    stated = [text for text in (given.constant, given.default, *given.values.values()) if text]
    for text in stated:
        try:
            convert(text)
        except RowRejected as error:
            raise MappingError(f"field {field.name}: {error.reason}") from None
    otherwise = given.constant or given.default
    return _Filling(
        field, given.column, convert, dict(given.values), None if otherwise is None else convert(otherwise)
    )


def _listed(columns: tuple[str, ...]) -> str:
    names = ", ".join(shown(name) for name in columns[:_LISTED_COLUMNS])
    more = f" and {len(columns) - _LISTED_COLUMNS} more" if len(columns) > _LISTED_COLUMNS else ""
    return f"columns: {names or 'none'}{more}"
