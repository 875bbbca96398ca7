"""The folder that Chroma keeps its files in: whose it is, who uses it, and how it is emptied."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCK_NAME = "arcpoint-memory.lock"
_LOCK_WAIT_S = 2.0
"""A worker whose owner was killed finishes the write it is in before it lets go."""

_VECTOR_FOLDER = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CHROMA_FILES = re.compile(rf"chroma\.sqlite3(-wal|-shm|-journal)?|{_VECTOR_FOLDER}")
_HARMLESS = {LOCK_NAME, "lost+found", ".DS_Store", ".gitkeep", ".gitignore"}

ELSEWHERE = "use another folder (ARCPOINT_MEMORY_PATH)"


def vector_folders(path: Path) -> list[Path]:
    """Where Chroma keeps the vectors of each collection, dropped ones included."""
    return [folder for folder in path.iterdir() if re.fullmatch(_VECTOR_FOLDER, folder.name)]


class FolderRefused(Exception):
    """The folder cannot be used; the message says why and what to do."""


class ChromaFolder:
    """A folder held by this process alone until it ends."""

    def __init__(self, path: Path, *, owner: int) -> None:
        """Takes the folder for the process `owner`, making it first if need be. Raises FolderRefused."""
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            self._lock = self._locked(owner)
        except OSError as error:
            reason = error.strerror or str(error)
            raise FolderRefused(f"memory folder {path} cannot be used: {reason}; {ELSEWHERE}") from None

    def set_aside(self) -> Path | None:
        """Moves Chroma's files to a new sibling folder, which is returned; None when there are none."""
        found = list(self._chroma_files())
        if not found:
            return None
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        try:
            aside.mkdir()
            for file in found:
                file.rename(aside / file.name)
        except OSError as error:
            raise FolderRefused(
                f"cannot move {self.path} aside to {aside}: {error.strerror}; delete the folder by hand"
            ) from None
        return aside

    def _chroma_files(self) -> Iterator[Path]:
        return (file for file in self.path.iterdir() if _CHROMA_FILES.fullmatch(file.name))

    def _refuse_foreign(self) -> None:
        """A folder that has other files and none of ours belongs to something else."""
        names = {file.name for file in self.path.iterdir()} - _HARMLESS
        if names and not any(_CHROMA_FILES.fullmatch(name) for name in names):
            raise FolderRefused(
                f"memory folder {self.path} holds other files ({min(names)}) and no memory; {ELSEWHERE}, "
                "empty or new, and run `arcpoint memory rebuild`"
            )

    def _locked(self, owner: int) -> IO[str]:
        lock = (self.path / LOCK_NAME).open("a+", encoding="utf-8")
        give_up = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    lock.seek(0)
                    holder = lock.read().strip() or "another"
                    raise FolderRefused(
                        f"memory folder {self.path} is in use by process {holder}; stop it or {ELSEWHERE}"
                    ) from None
                time.sleep(0.05)
            else:
                break
        lock.truncate(0)
        lock.write(f"{owner}\n")
        lock.flush()
        os.fsync(lock.fileno())
        return lock
