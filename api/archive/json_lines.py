"""Documents as JSON Lines: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from api.archive.errors import DocumentRejected, Place
from api.archive.members import read_json
from api.archive.readings import Written
from api.ingest.errors import RowRejected
from api.ingest.lines import MAX_LINE_BYTES, Line, Lines
from api.ingest.rows import require_utf8


def read_json_lines(file: BinaryIO, path: str) -> Iterator[Written | DocumentRejected]:
    """Every line that is not blank, or why it cannot be read."""
    lines = Lines(file)
    while (line := lines.read()) is not None:
        if not line.text.strip():
            continue
        place = Place(path, line.number)
        try:
            yield _written(line, place)
        except DocumentRejected as error:
            yield error


def _written(line: Line, place: Place) -> Written:
    if line.cut:
        raise DocumentRejected(place, "line", f"is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        require_utf8(line.text)
    except RowRejected as error:
        raise DocumentRejected(place, "line", f"is not UTF-8: {error.detail}") from None
    return Written(place, read_json(line.text, place), text_line=place.line)


_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What some readers take for the end of a line, and what would steer a terminal."""


def write_json_line(members: dict[str, Any]) -> str:
    """One line, with its end."""
    text = json.dumps(members, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n"
