"""Files that are written beside their place and take it in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from uuid import uuid4


@contextmanager
def replaced_file(path: Path) -> Iterator[TextIO]:
    """Yield a file that replaces the one at `path` when all is written; after an error nothing is left.

    The text has the line ends that it is given. Raises OSError. Blocks.
    """
    draft = path.with_name(f".{path.stem[:40]}.{uuid4().hex}.tmp")
    try:
        with draft.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
