"""A mapping bound to the columns of one file: texts by column become a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.ingest.errors import MappingError
from api.ingest.files.mapping import ColumnMapping, FieldMapping, did_you_mean
from api.ingest.records import FieldProblem, ParseOptions, Record, RecordInvalid, parse_record
from api.ingest.records.fields import TIME_SETTINGS
from api.ingest.records.notation import JsonText
from api.ingest.records.parsing import TimePair
from api.ingest.records.problems import UNKNOWN_VALUE, excerpt

MAX_LISTED_COLUMNS = 30

_DELIMITERS = (",", ";", "\t", "|")


def explain(problem: FieldProblem) -> str:
    """Return the problem in one line, with the setting of a mapping that would help."""
    if problem.kind == UNKNOWN_VALUE:
        return f"{problem}, or map it with `values`"
    setting = problem.setting.replace("{field}", problem.field)
    return f"{problem}: --set {setting}" if setting else str(problem)


@dataclass(frozen=True, slots=True)
class Bindings:
    """What fills each field, and how its text is read."""

    record_type: type[Record]
    fields: Mapping[str, FieldMapping]
    """Only fields that are filled."""
    options: ParseOptions

    def values(self, columns: Mapping[str, str]) -> dict[str, str | TimePair]:
        """Return what one row has for each field by name, empty text for nothing."""
        return {name: each.value(columns) for name, each in self.fields.items()}

    def parse(self, values: Mapping[str, str | TimePair]) -> Record:
        """Return the record that values by field name describe. Raises RecordInvalid."""
        # An array is no text, even though a row has it as one.
        stated = {
            name: json.loads(each) if isinstance(each, JsonText) else each for name, each in values.items()
        }
        return parse_record(self.record_type, stated, self.options)


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
        if given is not None and (columns is None or _has_columns(name, given, columns, where)):
            fields[name] = given
    bindings = Bindings(mapping.record_type, fields, _parse_options(mapping, fields))
    _check_required(bindings, columns or (), where)
    _check_stated(bindings)
    return bindings


def _has_columns(field: str, given: FieldMapping, columns: Sequence[str], where: str) -> bool:
    for column in given.columns:
        if columns.count(column) > 1:
            raise MappingError(f"{where}: the column {excerpt(column)} is there twice")
        if column not in columns and not given.optional:
            hint = _delimiter_hint(columns) or did_you_mean(column, columns)
            raise MappingError(
                f"{where}: no column {excerpt(column)}, which is to fill {field}{hint} ({_listed(columns)})"
            )
    return set(given.columns) <= set(columns)


def _delimiter_hint(columns: Sequence[str]) -> str:
    """Return what the delimiter seems to be, if one column alone holds all the names."""
    (header,) = columns if len(columns) == 1 else ("",)
    likely = max(_DELIMITERS, key=header.count)
    if likely not in header:
        return ""
    name = "tab" if likely == "\t" else repr(likely)
    return f"; the delimiter looks like {name}: --set file.delimiter={name}"


def _parse_options(mapping: ColumnMapping, fields: Mapping[str, FieldMapping]) -> ParseOptions:
    """Return how the fields are written. Raises MappingError if a setting means nothing for its field."""
    quantities = mapping.record_type.quantities()
    for name, given in fields.items():
        quantity = quantities.get(name)
        known = quantity.settings if quantity else ()
        if given.start:
            if quantity is None or not quantity.is_duration:
                raise MappingError(f"field {name}: this field is no duration and has no start and end")
            known = TIME_SETTINGS
        for setting in given.notation:
            if setting not in known or (setting == "unit" and quantity and not quantity.units):
                raise MappingError(f"field {name}: this field has no {setting}")
        if given.unit and quantity and given.unit not in quantity.units:
            accepted = ", ".join(quantity.units)
            raise MappingError(f"field {name}: unknown unit {excerpt(given.unit)}; accepted are {accepted}")
    written, where = {}, "file"
    try:
        whole = mapping.file.notation({})
        for name, given in fields.items():
            if stated := given.notation:
                where = f"field {name}"
                written[name] = mapping.file.notation(stated)
    except ValueError as error:
        raise MappingError(f"{where}: {error}") from None
    return ParseOptions(whole, written)


def _check_required(bindings: Bindings, columns: Sequence[str], where: str) -> None:
    required = (name for name, info in bindings.record_type.model_fields.items() if info.is_required())
    # Records without an id get one.
    if missing := [name for name in required if name not in bindings.fields and name != "id"]:
        accepted = f"map each to a column or a constant{_delimiter_hint(columns)} ({_listed(columns)})"
        raise MappingError(f"{where}: nothing fills {', '.join(missing)}; {accepted}")


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
