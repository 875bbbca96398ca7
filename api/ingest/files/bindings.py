"""A mapping bound to the columns of one file: texts by column become a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.ingest.errors import MappingError
from api.ingest.files.mapping import ColumnMapping, FieldMapping, did_you_mean
from api.ingest.records import FieldProblem, ParseOptions, Record, RecordInvalid, parse_record
from api.ingest.records.problems import NO_UNIT, NO_ZONE, UNKNOWN_VALUE, excerpt

MAX_LISTED_COLUMNS = 30

_HINTS = {
    UNKNOWN_VALUE: ", or map it with `values`",
    NO_ZONE: ', or say zone = "UTC" under [file]',
    NO_UNIT: ', say for example unit = "s"',
}


def explain(problem: FieldProblem) -> str:
    """Return the problem in one line, with what a mapping can do about it."""
    return f"{problem}{_HINTS.get(problem.kind, '')}"


@dataclass(frozen=True, slots=True)
class Bindings:
    """What fills each field, and how its text is read."""

    record_type: type[Record]
    fields: Mapping[str, FieldMapping]
    """Only fields that are filled."""
    options: ParseOptions

    def texts(self, columns: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of one row by field name."""
        return {name: each.text(columns) for name, each in self.fields.items()}

    def parse(self, texts: Mapping[str, str]) -> Record:
        """Return the record that texts by field name describe. Raises RecordInvalid."""
        return parse_record(self.record_type, texts, self.options)


def bind(mapping: ColumnMapping, columns: Sequence[str] | None, where: str) -> Bindings:
    """Return the bindings of a mapping to the columns of a file; `where` starts the messages.

    If `columns` is None there is no header: any mapped column may be absent from a row.

    Raises:
        MappingError: a column is missing or ambiguous, nothing fills a required field, or a unit,
            a constant, a default or a meaning is wrong.
    """
    fields: dict[str, FieldMapping] = {}
    for name in mapping.record_type.model_fields:
        given = mapping.fields.get(name)
        if given is None and mapping.by_name and (columns is None or name in columns):
            given = FieldMapping(column=name)
        if given is not None and (columns is None or _has_column(name, given, columns, where)):
            fields[name] = given
    units = {name: given.unit for name, given in fields.items() if given.unit is not None}
    bindings = Bindings(mapping.record_type, fields, ParseOptions(mapping.file.zone, units))
    _check_required(bindings, columns or (), where)
    _check_units(bindings)
    _check_stated(bindings)
    return bindings


def _has_column(field: str, given: FieldMapping, columns: Sequence[str], where: str) -> bool:
    column = given.column
    if column is None:
        return True
    if columns.count(column) > 1:
        raise MappingError(f"{where}: the column {excerpt(column)} is there twice")
    if column not in columns and not given.optional:
        hint = did_you_mean(column, columns)
        if len(columns) == 1 and set(columns[0]) & set(",;|\t"):
            hint += "; is the delimiter right?"
        raise MappingError(
            f"{where}: no column {excerpt(column)}, which is to fill {field}{hint} ({_listed(columns)})"
        )
    return column in columns


def _check_required(bindings: Bindings, columns: Sequence[str], where: str) -> None:
    required = (name for name, info in bindings.record_type.model_fields.items() if info.is_required())
    # Records without an id get one.
    if missing := [name for name in required if name not in bindings.fields and name != "id"]:
        accepted = f"map each to a column or a constant ({_listed(columns)})"
        raise MappingError(f"{where}: nothing fills {', '.join(missing)}; {accepted}")


def _check_units(bindings: Bindings) -> None:
    quantities = bindings.record_type.quantities()
    for name, unit in bindings.options.units.items():
        accepted = ", ".join(quantities[name].units) if name in quantities else ""
        if not accepted:
            raise MappingError(f"field {name}: this field has no unit")
        if unit not in quantities[name].units:
            raise MappingError(f"field {name}: unknown unit {excerpt(unit)}; accepted are {accepted}")


def _check_stated(bindings: Bindings) -> None:
    """Check the constants, defaults and meanings that a mapping states."""
    for name, each in bindings.fields.items():
        if name == "id" and (each.constant or each.default):
            raise MappingError("field id: has to come from a column; without one, ids are made from the rows")
        for text in each.stated:
            try:
                bindings.parse({name: text})
            except RecordInvalid as error:
                # Of the fields that are not given it says that they are missing.
                for problem in error.problems:
                    if problem.field == name:
                        raise MappingError(f"field {explain(problem)}") from None


def _listed(columns: Sequence[str]) -> str:
    names = ", ".join(excerpt(name) for name in columns[:MAX_LISTED_COLUMNS])
    more = f" and {len(columns) - MAX_LISTED_COLUMNS} more" if len(columns) > MAX_LISTED_COLUMNS else ""
    return f"columns: {names or 'none'}{more}"
