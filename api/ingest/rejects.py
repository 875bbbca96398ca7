"""The file of rejected rows: JSON Lines of line, reason and original text."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from api.ingest.batches import Reject
from api.ingest.errors import InputError, LoadStopped


class RejectsFile:
    """Collects rejects beside `path` and puts them there in one step. Blocks.

    A run without rejects leaves whatever is at `path` untouched. Only the owner may read the
    file: it holds raw rows of a log.
    """

    _part: Path | None = None
    _file: TextIO

    def __init__(self, path: Path, data: Path) -> None:
        """`data` is the file that is loaded, which must not be overwritten."""
        self.path = path
        self._data = data
        self._count = 0

    def open(self) -> None:
        """Raises InputError when the path cannot be written, or is the data file itself."""
        shown_path, self.path = self.path, self.path.resolve()
        if self.path == self._data.resolve():
            raise InputError(f"the rejects file {shown_path} is the file to load; name another one")
        if self.path.exists() and not self.path.is_file():
            raise InputError(f"cannot write the rejects file {shown_path}: not a regular file")
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name[:100]}.")
        except OSError as error:
            raise InputError(f"cannot write the rejects file {shown_path}: {error.strerror}") from None
        self._part = Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")

    def add(self, rejects: Iterable[Reject]) -> None:
        """Writes rejected rows."""
        for reject in rejects:
            entry = {"line": reject.row.line, "reason": reject.error.reason, "original": reject.row.original}
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._count += 1

    def close(self) -> None:
        """Puts the file in its place if there is anything in it. Raises LoadStopped."""
        if self._part is None:
            return
        try:
            self._file.close()
            if self._count:
                self._part.replace(self.path)
        except OSError as error:
            raise LoadStopped(f"cannot write the rejects file {self.path}: {error.strerror}") from error
        finally:
            self._part.unlink(missing_ok=True)
