"""Documents as JSON Lines: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, BinaryIO

from api.archive.documents import RawDocument
from api.archive.errors import DocumentRejected, Location

MAX_LINE_BYTES = 8 * 2**20
_FIELD = "line"
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What some readers take for the end of a line, and what would control a terminal."""


def read_json_lines(file: BinaryIO, path: str) -> Iterator[RawDocument | DocumentRejected]:
    """Yield every line that is not blank, or why it cannot be read."""
    for number in count(1):
        content = file.readline(MAX_LINE_BYTES)
        if not content:
            return
        is_cut = len(content) == MAX_LINE_BYTES and not content.endswith(b"\n")
        rest = is_cut
        while rest:
            rest = not (file.readline(MAX_LINE_BYTES) or b"\n").endswith(b"\n")
        try:
            if is_cut:
                raise _rejected(path, number, f"is longer than {MAX_LINE_BYTES:,} bytes")
            if content.strip():
                yield RawDocument(Location(path, number), _members(content, path, number))
        except DocumentRejected as error:
            yield error


def write_json_line(members: dict[str, Any]) -> str:
    """Return one line, with its end."""
    text = json.dumps(members, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n"


def _members(content: bytes, path: str, number: int) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig" if number == 1 else "utf-8")
        members = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except UnicodeDecodeError as error:
        reason = f"is not UTF-8: byte 0x{content[error.start]:02x} after {error.start} bytes"
        raise _rejected(path, number, reason) from None
    except json.JSONDecodeError as error:
        reason = f"is not valid JSON: {error.msg.lower()} at character {error.pos + 1}"
        raise _rejected(path, number, reason) from None
    except RecursionError:
        raise _rejected(path, number, "is not valid JSON: nested too deeply") from None
    if not isinstance(members, dict):
        raise _rejected(path, number, "is no JSON object; accepted is one object a line")
    return members


def _rejected(path: str, number: int, reason: str) -> DocumentRejected:
    return DocumentRejected(Location(path, number), _FIELD, reason)
