"""The demo's own files: recreated on every run; other files are never touched."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from api.errors import ArcpointApiError

MARKER = "arcpoint-demo"
"""File that marks the folder as the demo's, so that its files may be removed; locked while a demo runs."""


class DemoFolderRefused(ArcpointApiError, OSError):
    """The folder cannot be used for the demo; the message says why."""


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of a demo."""

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
        """Remove the files of an earlier demo."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(self.memory, ignore_errors=True)
        shutil.rmtree(self.postmortems, ignore_errors=True)


@contextmanager
def open_demo_folder(folder: Path) -> Iterator[DemoFiles]:
    """Create an empty demo folder, locked by this process. Raises DemoFolderRefused and OSError."""
    files = DemoFiles(folder.absolute())
    marker = files.folder / MARKER
    files.folder.mkdir(parents=True, exist_ok=True)
    if not marker.exists() and any(files.folder.iterdir()):
        raise DemoFolderRefused(
            f"{files.folder} contains files that no demo created; choose another folder with --folder"
        )
    with marker.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFolderRefused(
                f"another demo is running in {files.folder}; choose another folder with --folder"
            ) from None
        files.remove()
        yield files
