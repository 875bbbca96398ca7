"""The file of rejected rows: JSON Lines of line, reason and original text."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from api.ingest.errors import InputError, LoadStopped
from api.ingest.files.bindings import explain
from api.ingest.files.lines import Row


@contextmanager
def rejects_file(path: Path, data: Path) -> Iterator[Callable[[Sequence[Row]], str]]:
    """Give a function that writes rejects and returns their path. Blocks.

    At the end the file that it wrote replaces `path` in one step.

    Without rejects, whatever is at `path` stays. Only the owner may read the file: it holds raw rows of
    a log. `data` is the file that is loaded, which must not be overwritten.

    Raises:
        InputError: `path` cannot be written.
        LoadStopped: the disk failed.
    """
    if path.resolve() == data.resolve():
        raise InputError(f"the rejects file {path} is the file to load; name another one")
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write the rejects file {path}: not a regular file")
    target = path.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    except OSError as error:
        raise InputError(f"cannot write the rejects file {path}: {error.strerror}") from None
    part = Path(name)
    file = open(handle, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115  a handle

    def write(rejects: Sequence[Row]) -> str:
        for row in rejects:
            reason = "; ".join(map(explain, row.problems))
            entry = {"line": row.line, "reason": reason, "original": row.original}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return str(target)

    try:
        yield write
    finally:
        try:
            file.close()
            if part.stat().st_size:
                part.replace(target)
        except OSError as error:
            raise LoadStopped(f"cannot write the rejects file {path}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
