"""What runs of `arcpoint postmortem` leave behind, read beside the program."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from api.archive.postmortem_files import parsed

RESOLVED = 8
"""Incidents that want a postmortem: inc_0101 to inc_0105 and inc_0116 to inc_0118."""


class StoredPostmortems:
    """A SQLite database."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite:///")

    def all(self) -> dict[str, str]:
        """Markdown by incident."""
        joined = "postmortems JOIN incidents ON incidents.id = incident_id"
        return dict(self.rows(f"SELECT public_id, markdown FROM {joined}"))  # noqa: S608  names of tests

    def rows(self, statement: str) -> list[tuple[str, str]]:
        """What a statement gives, or does."""
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            return list(connection.execute(statement))

    def count(self, table: str) -> int:
        """Rows of a table."""
        return int(self.rows(f"SELECT count(*), 0 FROM {table}")[0][0])  # noqa: S608  names of tests


def bodies(folder: Path) -> dict[str, str]:
    """The folder's texts by incident; what is no whole file has a hidden name."""
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.stem: parsed(path.read_text("utf-8")).body.lstrip("\n") for path in shown}


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns when it is true; fails after two minutes."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
