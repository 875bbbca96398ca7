"""Results as JSON: the one place that turns dataclasses into what HTTP clients and `--json` get, and back."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def to_json(result: object) -> bytes:
    """Serialize a result as one line of JSON, in UTF-8."""
    return _adapter(type(result)).dump_json(result)


def to_document(result: object) -> Any:
    """Convert a result to plain JSON values: dicts, lists, text and numbers."""
    return _adapter(type(result)).dump_python(result, mode="json")


def from_json(kind: type[T], document: bytes) -> T:
    """Parse the JSON of a result. Raises ValueError."""
    result: T = _adapter(kind).validate_json(document)
    return result


def prepare(*kinds: type[Any]) -> None:
    """Build the serializers of some results in advance; it reads source files for their descriptions."""
    for kind in kinds:
        _adapter(kind)


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
