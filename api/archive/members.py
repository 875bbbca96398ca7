"""The members of a document as they are written: keys with text, lists of text or members below them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from api.archive.errors import DocumentRejected, Place

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

_NULL = "tag:yaml.org,2002:null"
_PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp", "value")
)
_FRONT_MATTER = "front matter"


@dataclass(frozen=True, slots=True)
class Member:
    """What one key holds."""

    line: int
    value: Any
    """Text, None (stated as nothing), a tuple of texts, or Members."""


Members = dict[str, Member]
"""By key, in small letters with underscores."""


def read_yaml(text: str, place: Place) -> Members:
    """The members of front matter that begins at the place. Raises DocumentRejected.

    Nothing is constructed from tags, and nothing that an alias stands for is copied.
    """
    try:
        root = yaml.compose(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deeply"
        line = place.line + (mark.line if mark else 0)
        raise DocumentRejected(place.at(line), _FRONT_MATTER, f"is no YAML: {problem}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise DocumentRejected(
            place, _FRONT_MATTER, "is no mapping; accepted are lines such as `title: text`"
        )
    return _mapping(root, place)


def _mapping(node: yaml.MappingNode, place: Place, depth: int = 0) -> Members:
    members: Members = {}
    for key, value in node.value:
        line = place.line + key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentRejected(place.at(line), _FRONT_MATTER, "has a key that is no text")
        name = _key(key.value)
        if name in members:
            raise DocumentRejected(place.at(line), name, "stands twice; accepted is one line for each key")
        if not _is_left_empty(value):
            members[name] = Member(line, _value(value, name, place.at(line), place, depth))
    return members


def _is_left_empty(node: yaml.Node) -> bool:
    """A key with nothing after it, as in a form that was not filled in; `null` and `""` are statements."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL and not node.value


def _value(node: yaml.Node, name: str, here: Place, start: Place, depth: int) -> Any:
    match node:
        case yaml.ScalarNode():
            return _scalar(node, name, here)
        case yaml.SequenceNode() if node.tag.endswith(":seq"):
            return tuple(_scalar(item, name, here) or "" for item in node.value)
        case yaml.MappingNode() if depth == 0 and node.tag.endswith(":map"):
            return _mapping(node, start, depth + 1)
    raise DocumentRejected(here, name, "is nested too deeply, or has a YAML tag; accepted is text")


def _scalar(node: yaml.Node, name: str, here: Place) -> str | None:
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _NULL:
            return None
        if node.tag in _PLAIN_TAGS:
            return str(node.value)
        raise DocumentRejected(
            here, name, f"has the YAML tag {node.tag[:60]!r}; accepted is text without tags"
        )
    raise DocumentRejected(here, name, "is nested too deeply; accepted is text")


def read_json(text: str, place: Place) -> Members:
    """The members of one JSON object on one line. Raises DocumentRejected."""
    try:
        parsed = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except json.JSONDecodeError as error:
        reason = f"is not valid JSON: {error.msg.lower()} at character {error.pos + 1}"
        raise DocumentRejected(place, "line", reason) from None
    except RecursionError:
        raise DocumentRejected(place, "line", "is not valid JSON: nested too deeply") from None
    if not isinstance(parsed, dict):
        raise DocumentRejected(place, "line", "is no JSON object; accepted is one object a line")
    return _object(parsed, place)


def _object(members: Mapping[str, Any], place: Place) -> Members:
    return {_key(name): Member(place.line, _json_value(value, place)) for name, value in members.items()}


def _json_value(value: Any, place: Place) -> Any:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case dict():
            return _object(value, place)
    return tuple(each if isinstance(each, str) else json.dumps(each) for each in value)


def _key(text: str) -> str:
    return "_".join(text.strip().lower().replace("-", " ").split())
