"""Markdown files with front matter: read without constructing anything, written without losing anything."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import yaml

from api.archive.documents import RawDocument
from api.archive.errors import DocumentRejected, Location

try:
    from yaml import CBaseLoader as BaseLoader
    from yaml import CSafeDumper as SafeDumper
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import BaseLoader, SafeDumper  # type: ignore[assignment]

MAX_BYTES = 8 * 2**20
"""Size of one file; a postmortem has a few thousand bytes."""
MAX_FRONT_MATTER = 2**20
"""Characters."""
MAX_DEPTH = 20
"""Levels of lists and mappings."""

_FIELD = "front matter"
_NULL = "tag:yaml.org,2002:null"
_LEFT_EMPTY = object()
_FIRST = re.compile(r"\ufeff?---[ \t]*(?:\r\n|\n)")
_LAST = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r\n|\n|\Z)", re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\n")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\D|$)")
_DATE_ANYWHERE = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_UNTIDY = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\U00010000-\U0010ffff]| \n")
"""What a block of lines does not keep."""


def read_markdown(content: bytes, path: str) -> RawDocument:
    """Return the document of one file. Raises DocumentRejected."""
    location = Location(path)
    text = _decoded(content, location)
    front, begins = split_front_matter(text)
    if front is None and _FIRST.match(text):
        reason = "begins with `---` and does not end; accepted is a line `---` after it"
        raise DocumentRejected(location.at(1), _FIELD, reason)
    members = read_yaml(front or "", location)
    line = 1 + len(_LINE_END.findall(text[:begins]))
    file = PurePath(path)
    date = _DATE.match(file.name)
    anywhere = _DATE_ANYWHERE.search(file.stem) or _DATE_ANYWHERE.search(file.parent.name)
    return RawDocument(
        location,
        members,
        text[begins:],
        line,
        date_in_name=date.group(1) if date else None,
        date_in_path="-".join(anywhere.group(1, 3, 4)) if anywhere else None,
    )


def split_front_matter(text: str) -> tuple[str | None, int]:
    """Return the front matter, None if there is none, and where the text after one blank line begins."""
    first = _FIRST.match(text)
    last = _LAST.search(text, first.end(), first.end() + MAX_FRONT_MATTER) if first else None
    if first is None or last is None:
        return None, 0
    blank = _LINE_END.match(text, last.end())
    return text[first.end() : last.start()], blank.end() if blank else last.end()


def _decoded(content: bytes, location: Location) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = location.at(1 + content.count(b"\n", 0, error.start))
        reason = f"is not UTF-8 (byte 0x{content[error.start]:02x}); accepted is Markdown in UTF-8"
        raise DocumentRejected(line, "text", reason) from None
    if "\0" in text:
        line = location.at(1 + text.count("\n", 0, text.index("\0")))
        raise DocumentRejected(line, "text", "holds a NUL byte; accepted is Markdown in UTF-8")
    return text


class _Loader(BaseLoader):
    """Constructs text, lists and mappings; `null` and `~` are None, and no value at all is _LEFT_EMPTY."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is given twice", problem_mark=node.start_mark)
        return {key: value for key, value in mapping.items() if value is not _LEFT_EMPTY}


_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_constructor(_NULL, lambda _, node: None if node.value else _LEFT_EMPTY)


def read_yaml(text: str, location: Location) -> dict[str, Any]:
    """Return the members of front matter, keys that are left empty not among them.

    Raises:
        DocumentRejected: no mapping; or there are tags or aliases, which could make or multiply something.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) or depth > MAX_DEPTH:
                problem = "accepted is plain YAML without tags, aliases and deep nesting"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]
        members = yaml.load(text, Loader=_Loader)  # noqa: S506  it constructs text only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", "unreadable")
        line = location.at(2 + mark.line if mark else 2)
        raise DocumentRejected(line, _FIELD, f"cannot be read: {reason}") from None
    if members in (None, _LEFT_EMPTY):
        return {}
    if not isinstance(members, dict):
        raise DocumentRejected(
            location.at(2), _FIELD, "is no mapping; accepted are lines such as `title: text`"
        )
    return members


class _Dumper(SafeDumper):
    """Writes texts of several lines as blocks if that keeps every character, all others in one line."""


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if len(lines := text.splitlines()) > 1 or text != "".join(lines):
        is_tidy = text[0] not in " \n" and not text.endswith("\n\n") and not _UNTIDY.search(text)
        style = "|" if is_tidy else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _represent)
_Dumper.add_multi_representer(str, _represent)  # members of enums


def write_markdown(members: dict[str, Any], text: str) -> str:
    """Return a file: members as front matter, a blank line, and the text to its last character."""
    front = yaml.dump(members, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return f"---\n{front}---\n\n{text}"
