"""Results as JSON: the one place that turns dataclasses into what HTTP clients and `--json` get."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def to_json(result: object) -> bytes:
    """Serialize a result as one line of JSON, in UTF-8."""
    return _adapter(type(result)).dump_json(result)


def to_document(result: object) -> Any:
    """Convert a result to plain JSON values: dicts, lists, text and numbers."""
    return _adapter(type(result)).dump_python(result, mode="json")


def prepare(*kinds: type[Any]) -> None:
    """Build the serializers of some results in advance; it reads source files for their descriptions."""
    for kind in kinds:
        _adapter(kind)


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
