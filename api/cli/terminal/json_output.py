"""JSON on standard output."""

from __future__ import annotations

import json
import re
from typing import Any

from api.cli.terminal.streams import write

_CONTROL = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def say_json(document: Any) -> None:
    """Write one JSON document; characters that control a terminal are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    write(_CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n")
