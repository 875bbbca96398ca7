"""Single settings of a mapping as `key=value` flags, in the words of the TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.ingest.errors import MappingError, shown
from api.ingest.fields import Kind

_KEYS = ("column", "constant", "default", "unit", "optional")
_BOOLEANS = {"true": True, "false": False}
_EXAMPLES = "user=groupId, tier.constant=standard, latency_ms.unit=s, status.values.OK=success, file.zone=UTC"


def override(document: dict[str, Any], kind: Kind, settings: Sequence[str]) -> dict[str, Any]:
    """The mapping document with each setting put in. Raises MappingError for one that makes no sense."""
    file = dict(document.get("file", {}))
    fields = {name: _table(given) for name, given in document.get(kind.name, {}).items()}
    for setting in settings:
        path, equals, value = setting.partition("=")
        name, _, key = path.strip().partition(".")
        if not equals or not name:
            raise MappingError(f"--set {shown(setting)}: expected field=column or another of {_EXAMPLES}")
        if name == "file":
            file[key] = value
        else:
            # A field that is only refined comes from the column of its own name.
            _set(fields.setdefault(name, {"column": name}), key or "column", value, setting)
    return {**document, "file": file, kind.name: fields}


def _table(given: Any) -> Any:
    """A field's table; a bare string is short for its column. Anything else is left to validation."""
    return {"column": given} if isinstance(given, str) else dict(given) if isinstance(given, dict) else given


def _set(field: Any, key: str, value: str, setting: str) -> None:
    known, _, source = key.partition(".")
    if known == "values":
        field["values"] = {**field.get("values", {}), source: value}
    elif key == "constant":
        # It replaces whatever came from a column.
        unit = {"unit": field["unit"]} if "unit" in field else {}
        field.clear()
        field.update(unit, constant=value)
    elif key in _KEYS:
        if key == "column":
            field.pop("constant", None)
        field[key] = _BOOLEANS.get(value, value) if key == "optional" else value
    else:
        raise MappingError(f"--set {shown(setting)}: unknown {shown(key)}; expected one of {_EXAMPLES}")
