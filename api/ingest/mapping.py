"""Which column fills which field: a small TOML file, flags, or both."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from api.ingest.errors import InputError, MappingError, shown
from api.ingest.fields import Kind
from api.ingest.overrides import override
from api.ingest.zones import parse_zone

MAX_MAPPING_BYTES = 1_000_000


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_character(value: object) -> object:
    return "\t" if value in ("tab", "\\t") else value


def _as_table(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Scalar = Annotated[str, BeforeValidator(_as_text)]


class FieldMapping(BaseModel):
    """What fills one field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: Annotated[str, Field(min_length=1)] | None = None
    constant: Annotated[Scalar, Field(min_length=1)] | None = None
    default: Annotated[Scalar, Field(min_length=1)] | None = None
    """Stands in for an empty value of the column."""
    values: dict[str, Scalar] = {}
    """Source text to what it means; an empty text means no value."""
    unit: str | None = None
    optional: bool = False
    """Whether the file may lack the column."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("needs a column or a constant, and not both")
        if self.constant is not None and (self.default or self.values or self.optional):
            raise ValueError("a constant takes no default, values or optional")
        return self


class FileOptions(BaseModel):
    """How the data file is written; what is None follows from its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["csv", "jsonl"] | None = None
    delimiter: Annotated[str, BeforeValidator(_as_character), Field(min_length=1, max_length=1)] | None = None
    """One character, or `tab`."""
    zone: str | None = None
    """What times mean that carry no zone: `UTC`, `Europe/Paris` or `+02:00`."""


class MappingFile(BaseModel):
    """The TOML document; a field given as a bare string is short for `{ column = "…" }`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: FileOptions = FileOptions()
    requests: dict[str, Annotated[FieldMapping, BeforeValidator(_as_table)]] = {}
    incidents: dict[str, Annotated[FieldMapping, BeforeValidator(_as_table)]] = {}


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How the columns of one kind of file become fields."""

    kind: Kind
    fields: Mapping[str, FieldMapping] = field(default_factory=dict)
    file: FileOptions = field(default_factory=FileOptions)
    by_name: bool = True
    """Whether a field that is not mapped takes the column of its own name, if there is one."""


def load_mapping(kind: Kind, path: Path | None = None, settings: Sequence[str] = ()) -> ColumnMapping:
    """The mapping for one kind from a TOML file and `key=value` settings that win over it; blocks.

    Raises InputError when the file cannot be read, MappingError when it or a setting makes no sense.
    """
    document = {} if path is None else _read_toml(path)
    # Before settings are put into it, so that an error is blamed on whom it belongs to.
    _checked(document, f"{path}: ")
    if path is not None and not document.get(kind.name):
        raise MappingError(f"{path}: has no [{kind.name}] table")
    stated = _checked(override(document, kind, settings), "--set: ")
    fields: dict[str, FieldMapping] = getattr(stated, kind.name)
    for name in fields:
        if name not in kind.names():
            raise MappingError(
                f"{kind.name} have no field {shown(name)}{near(name, kind.names())} "
                f"(fields: {', '.join(kind.names())})"
            )
    if stated.file.zone is not None:
        parse_zone(stated.file.zone)
    return ColumnMapping(kind, fields, stated.file, by_name=path is None)


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where some known name is spelled like it, else nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), by_folded, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(shown(by_folded[match]) for match in matches)}?" if matches else ""


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


def _checked(document: dict[str, Any], where: str) -> MappingFile:
    try:
        return MappingFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        keys = (str(key) for key in first["loc"])
        place = ".".join(key if key.isidentifier() else shown(key) for key in keys)
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = "is not a setting"
        raise MappingError(f"{where}{place}: {problem}") from None
