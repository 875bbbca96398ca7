"""The demo's own files: made anew on every run, and never anybody else's."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

MARKER = "arcpoint-demo"
"""A file that says that the demo's files beside it are ours to remove; locked while a demo runs."""


class DemoFolderRefused(OSError):
    """The folder cannot be used for the demo; the message says why."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What a demo keeps in its folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "demo.db"

    @property
    def database_url(self) -> str:
        """The same as a URL."""
        return URL.create("sqlite", database=str(self.database)).render_as_string()

    @property
    def memory(self) -> Path:
        """The folder of incident memory."""
        return self.folder / "demo-memory"

    @property
    def postmortems(self) -> Path:
        """The folder of postmortem files."""
        return self.folder / "demo-postmortems"

    def remove(self) -> None:
        """Removes what an earlier demo has left."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(self.memory, ignore_errors=True)
        shutil.rmtree(self.postmortems, ignore_errors=True)


@contextmanager
def fresh_demo(folder: Path) -> Iterator[DemoFiles]:
    """An empty demo folder for this process alone. Raises DemoFolderRefused and OSError."""
    files = DemoFiles(folder.absolute())
    marker = files.folder / MARKER
    files.folder.mkdir(parents=True, exist_ok=True)
    if not marker.exists() and any(files.folder.iterdir()):
        raise DemoFolderRefused(
            f"{files.folder} holds files that no demo made; choose another one with --folder"
        )
    with marker.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFolderRefused(
                f"another demo runs in {files.folder}; choose another one with --folder"
            ) from None
        files.remove()
        yield files
