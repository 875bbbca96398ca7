"""Documents as Markdown with front matter."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import yaml

from api.archive.errors import DocumentRejected, Place
from api.archive.members import Members, read_yaml
from api.archive.readings import Written

try:
    from yaml import CSafeDumper as SafeDumper
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import SafeDumper  # type: ignore[assignment]

MAX_BYTES = 8 * 2**20
"""Of one file; a postmortem has a few thousand."""
MAX_FRONT_MATTER = 2**20

_FIRST = re.compile(r"\ufeff?---[ \t]*(?:\r\n|\n)")
_LAST = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\r\n|\n|\Z)", re.MULTILINE)
_BLANK = re.compile(r"\r\n|\n")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\D|$)")
_UNTIDY = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\U00010000-\U0010ffff]| \n")
"""What a block of lines does not keep."""


def read_markdown(content: bytes, path: str) -> Written:
    """One file. Raises DocumentRejected."""
    place = Place(path)
    text = _decoded(content, place)
    date = _DATE.match(PurePath(path).name)
    members: Members = {}
    begins = 0
    if first := _FIRST.match(text):
        last = _LAST.search(text, first.end(), first.end() + MAX_FRONT_MATTER)
        if last is None:
            raise DocumentRejected(
                place, "front matter", "begins with `---` and does not end; accepted is a line `---` after it"
            )
        members = read_yaml(text[first.end() : last.start()], place.at(2))
        begins = last.end()
        if blank := _BLANK.match(text, begins):
            begins = blank.end()
    line = 1 + len(_BLANK.findall(text[:begins]))
    return Written(place, members, text[begins:], line, date.group(1) if date else None)


def _decoded(content: bytes, place: Place) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = place.at(1 + content.count(b"\n", 0, error.start))
        reason = f"is not UTF-8 (byte 0x{content[error.start]:02x}); accepted is Markdown in UTF-8"
        raise DocumentRejected(line, "text", reason) from None
    if "\0" in text:
        line = place.at(1 + text.count("\n", 0, text.index("\0")))
        raise DocumentRejected(line, "text", "holds a NUL byte; accepted is Markdown in UTF-8")
    return text


class _Dumper(SafeDumper):
    """Texts of several lines as blocks, where that keeps every character; all others as one line."""


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if len(lines := text.splitlines()) > 1 or text != "".join(lines):
        is_tidy = text[0] not in " \n" and not text.endswith("\n\n") and not _UNTIDY.search(text)
        style = "|" if is_tidy else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _represent)
_Dumper.add_multi_representer(str, _represent)  # members of enums


def write_markdown(members: dict[str, Any], text: str) -> str:
    """A file: members as front matter, a blank line, and the text to its last character."""
    front = yaml.dump(members, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
    return f"---\n{front}---\n\n{text}"
