"""A mapping, or corrections to one, as flags of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.ingest.errors import MappingError, shown


@dataclass(frozen=True, slots=True)
class MappingFlags:
    """What the command line says, each entry as it is written there; wins over a mapping file."""

    columns: tuple[str, ...] = ()
    """`field=column`"""
    constants: tuple[str, ...] = ()
    """`field=value`"""
    defaults: tuple[str, ...] = ()
    """`field=value`"""
    units: tuple[str, ...] = ()
    """`field=unit`"""
    values: tuple[str, ...] = ()
    """`field:source=value`"""
    file: Mapping[str, str | None] = field(default_factory=dict)
    """Options of the data file by name; None leaves one as it is."""

    def apply(self, fields: dict[str, dict[str, Any]]) -> None:
        """Changes the raw mapping of each field that a flag names. Raises MappingError."""
        for name, column in _pairs("--column", self.columns):
            fields[name] = {**fields.get(name, {}), "column": column, "constant": None}
        for name, constant in _pairs("--constant", self.constants):
            unit = fields.get(name, {}).get("unit")
            fields[name] = {"constant": constant, "unit": unit}
        for name, default in _pairs("--default", self.defaults):
            _named(fields, name)["default"] = default
        for name, unit in _pairs("--unit", self.units):
            _named(fields, name)["unit"] = unit
        for key, value in _pairs("--value", self.values):
            name, colon, source = key.partition(":")
            if not colon:
                raise MappingError(f"--value {shown(f'{key}={value}')}: expected field:source=value")
            mapped = _named(fields, name)
            mapped["values"] = {**mapped.get("values", {}), source: value}


def _named(fields: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The field's mapping; one that is only refined by flags comes from the column of its own name."""
    return fields.setdefault(name, {"column": name})


def _pairs(flag: str, entries: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise MappingError(f"{flag} {shown(entry)}: expected field=…, for example {_EXAMPLES[flag]}")
        pairs.append((name.strip(), value))
    return pairs


_EXAMPLES = {
    "--column": "user=customer_id",
    "--constant": "backend=aws",
    "--default": "model=unknown",
    "--unit": "latency_ms=s",
    "--value": "status:SUCCEED=success",
}
