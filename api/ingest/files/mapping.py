"""Which column fills which field: a small TOML file, `key=value` settings, or both."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from api.ingest.errors import InputError, MappingError
from api.ingest.records import RECORD_TYPES, Notation, Record, parse_zone
from api.ingest.records.notation import DECIMAL_SIGNS, THOUSANDS_SIGNS, PlainText, checked_format
from api.ingest.records.parsing import TimePair
from api.ingest.records.problems import excerpt

MAX_MAPPING_BYTES = 1_000_000

_EXAMPLES = (
    "user=groupId, tier.constant=standard, latency_ms.unit=s, latency_ms.start=startTime, "
    "latency_ms.end=endTime, created_at.format='%d.%m.%Y %H:%M', status.values.OK=success, file.zone=UTC, "
    "file.decimal=','"
)
_ORIGINS = ("column", "constant", "start", "end")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_character(value: object) -> object:
    return "\t" if value in ("tab", "\\t") else value


def _as_table(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _as_zone(value: object) -> object:
    return parse_zone(value) if isinstance(value, str) else value


def _one_of(signs: Sequence[str]) -> AfterValidator:
    def check(sign: str) -> str:
        if sign in signs:
            return sign
        raise ValueError(f"{sign!r} is not accepted; accepted are {' '.join(map(repr, signs))}")

    return AfterValidator(check)


Scalar = Annotated[str, BeforeValidator(_as_text)]
Column = Annotated[str, Field(min_length=1)]
Zone = Annotated[tzinfo, BeforeValidator(_as_zone)]
TimeFormat = Annotated[str, AfterValidator(lambda text: checked_format(text) or "iso")]
Decimal = Annotated[str, _one_of(DECIMAL_SIGNS)]
Thousands = Annotated[str, _one_of(THOUSANDS_SIGNS)]


class FieldMapping(BaseModel):
    """What fills one field, and how it is written where that is not as in the rest of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    column: Column | None = None
    start: Column | None = None
    end: Column | None = None
    """Columns of two times; the field is what lies between them."""
    constant: Annotated[Scalar, Field(min_length=1)] | None = None
    default: Annotated[Scalar, Field(min_length=1)] | None = None
    """Used where the column is empty."""
    values: dict[str, Scalar] = {}
    """Meaning by text of the column; an empty meaning is no value."""
    optional: bool = False
    """True if the file may lack the column."""
    unit: str | None = None
    format: TimeFormat | None = None
    zone: Zone | None = None
    decimal: Decimal | None = None
    thousands: Thousands | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("needs a start and an end")
        if sum(origin is not None for origin in (self.column, self.constant, self.start)) != 1:
            raise ValueError("needs a column or a constant, and not both, or start and end")
        if self.column is None and (self.default or self.values or (self.constant and self.optional)):
            raise ValueError(
                "a constant takes no default, values or optional; start and end no default, values"
            )
        return self

    @property
    def columns(self) -> Sequence[str]:
        """The columns that fill the field."""
        return [name for name in (self.column, self.start, self.end) if name]

    def value(self, columns: Mapping[str, str]) -> str | TimePair:
        """Return what the field has in a row, empty text if nothing."""
        if self.start and self.end:
            start, end = columns.get(self.start, ""), columns.get(self.end, "")
            return TimePair(start, end) if start and end else ""
        text = columns.get(self.column or "", "")
        if not text or text in self.values:
            return PlainText(self.values.get(text) or self.constant or self.default or "")
        return text

    @property
    def notation(self) -> dict[str, Any]:
        """What is stated about how the field is written, by the name of the setting."""
        stated = {name: getattr(self, name) for name in Notation.__dataclass_fields__}
        return {name: value for name, value in stated.items() if value is not None}

    @property
    def stated(self) -> Sequence[str]:
        """The texts that do not come from the data."""
        return [PlainText(text) for text in (self.constant, self.default, *self.values.values()) if text]


class FileOptions(BaseModel):
    """How the data file is written; None: as its name suggests."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    format: Literal["csv", "jsonl"] | None = None
    delimiter: Annotated[str, BeforeValidator(_as_character), Field(min_length=1, max_length=1)] | None = None
    """One character, or `tab`."""
    zone: Zone | None = None
    """Zone of times that carry none: `UTC`, `Europe/Paris` or `+02:00`."""
    time_format: TimeFormat = "iso"
    """Of times, as strptime has it."""
    decimal: Decimal = "."
    thousands: Thousands | None = None

    def notation(self, stated: Mapping[str, Any]) -> Notation:
        """Return how a field is written, given what is stated about it alone.

        Raises:
            ValueError: the signs for decimals and thousands are the same.
        """
        whole: dict[str, Any] = {name: getattr(self, name) for name in ("zone", "decimal", "thousands")}
        found = Notation(**whole | {"format": self.time_format, **stated})
        if found.decimal == found.thousands:
            raise ValueError(f"decimals and thousands cannot both have {found.decimal!r}")
        return replace(found, format=None) if found.format == "iso" else found


Fields = dict[str, Annotated[FieldMapping, BeforeValidator(_as_table)]]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: FileOptions = FileOptions()


_TABLES: dict[str, Any] = {kind: (Fields, {}) for kind in RECORD_TYPES}
MappingFile = create_model("MappingFile", __base__=_File, **_TABLES)
"""The TOML document, with a table for each kind of record.

A field given as a bare string is short for `{ column = "…" }`.
"""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How the columns of a file become the fields of one type of record."""

    record_type: type[Record]
    fields: Mapping[str, FieldMapping] = field(default_factory=dict)
    file: FileOptions = field(default_factory=FileOptions)
    by_name: bool = True
    """True if a field that is not mapped takes the column of its own name, if there is one."""


def load_mapping(
    record_type: type[Record], path: Path | None = None, settings: Sequence[str] = ()
) -> ColumnMapping:
    """Return the mapping that a TOML file and `key=value` settings define; settings win. Blocks.

    Raises:
        InputError: the file cannot be read.
        MappingError: the file or a setting is wrong.
    """
    kind, known = record_type.kind, tuple(record_type.model_fields)
    document = {} if path is None else _read_toml(path)
    # Checked before the settings are put in, so that an error names its origin.
    _checked(document, f"{path}: ")
    if path is not None and not document.get(kind):
        raise MappingError(f"{path}: has no [{kind}] table")
    stated = _checked(_with_settings(document, kind, settings), "--set: ", f" (for example {_EXAMPLES})")
    fields: Fields = getattr(stated, kind)
    for name in fields:
        if name not in known:
            accepted = f"{did_you_mean(name, known)} (fields: {', '.join(known)})"
            raise MappingError(f"{kind} have no field {excerpt(name)}{accepted}")
    return ColumnMapping(record_type, fields, stated.file, by_name=path is None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` if some known name is spelled like it, else nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), by_folded, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(excerpt(by_folded[match]) for match in matches)}?" if matches else ""


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MAPPING_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the mapping {path}: {error.strerror}") from None
    if len(content) > MAX_MAPPING_BYTES:
        raise MappingError(f"{path}: larger than {MAX_MAPPING_BYTES:,} bytes; is this the data?")
    try:
        return tomllib.loads(content.decode("utf-8-sig"), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise MappingError(f"{path}: not TOML: {str(error).splitlines()[0]}") from None


def _with_settings(document: dict[str, Any], kind: str, settings: Sequence[str]) -> dict[str, Any]:
    """Return a checked document with each setting put in."""
    tables: dict[str, Any] = {name: _as_table(given) for name, given in document.get(kind, {}).items()}
    tables["file"] = document.get("file", {})
    for setting in settings:
        path, equals, value = setting.partition("=")
        name, _, key = path.strip().partition(".")
        if not equals or not name:
            raise MappingError(f"--set {excerpt(setting)}: expected field=column or another of {_EXAMPLES}")
        # A field that is only refined comes from the column of its own name.
        tables[name] = _with_setting(tables.get(name, {"column": name}), key or "column", value)
    return {**document, "file": tables.pop("file"), kind: tables}


def _with_setting(table: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    option, _, text = key.partition(".")
    if option == "values":
        return {**table, "values": {**table.get("values", {}), text: value}}
    # One origin replaces another, and a constant whatever came from a column.
    replaced = (
        set(_ORIGINS) - ({"start", "end"} if key in ("start", "end") else {key}) if key in _ORIGINS else set()
    )
    if key == "constant":
        replaced |= {"default", "values", "optional"}
    kept = {name: each for name, each in table.items() if name not in replaced}
    return kept | {key: {"true": True, "false": False}.get(value, value) if key == "optional" else value}


def _checked(document: dict[str, Any], where: str, hint: str = "") -> _File:
    try:
        return MappingFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        keys = (str(key) for key in first["loc"])
        place = ".".join(key if key.isidentifier() else excerpt(key) for key in keys)
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = f"is not a setting{hint}"
        raise MappingError(f"{where}{place}: {problem}") from None
