"""JSON on standard output."""

from __future__ import annotations

import json
import re
from typing import Any

from api.cli.terminal.streams import write

_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def say_json(document: Any) -> None:
    """Writes one JSON document; characters that would steer a terminal are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    write(_STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + "\n")
