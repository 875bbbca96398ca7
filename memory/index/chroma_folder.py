"""The folder in which Chroma keeps its files: ownership, and setting damaged files aside."""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path
from typing import IO

from memory.errors import IndexFault

LOCK_NAME = "arcpoint-memory.lock"
_LOCK_WAIT_S = 2.0
"""A worker whose owner was killed finishes its current write before it releases the folder."""

_VECTOR_FOLDER = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_CHROMA_FILES = re.compile(rf"chroma\.sqlite3(-wal|-shm|-journal)?|{_VECTOR_FOLDER}")
_HARMLESS = {LOCK_NAME, "lost+found", ".DS_Store", ".gitkeep", ".gitignore"}

_ELSEWHERE = "use another folder (ARCPOINT_MEMORY_PATH)"


def vector_folders(path: Path) -> list[Path]:
    """Return the folders with the vectors of each collection, dropped ones included."""
    return [folder for folder in path.iterdir() if re.fullmatch(_VECTOR_FOLDER, folder.name)]


class ChromaFolder:
    """A folder held by this process alone until it ends."""

    def __init__(self, path: Path, *, owner: int, create: bool = True) -> None:
        """Lock the folder on behalf of the process `owner`, creating it if allowed. Raises IndexFault."""
        self.path = path
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
            elif not path.joinpath("chroma.sqlite3").exists():
                raise IndexFault(
                    "refused",
                    f"memory folder {path} holds no memory, and ARCPOINT_READ_ONLY lets none be created; "
                    "run `arcpoint memory sync` without it",
                )
            self._refuse_foreign_files()
            self._lock = self._locked(owner)
        except OSError as error:
            reason = error.strerror or str(error)
            raise IndexFault(
                "refused", f"memory folder {path} cannot be used: {reason}; {_ELSEWHERE}"
            ) from None

    def set_aside(self) -> None:
        """Move Chroma's files, if there are any, to a new sibling folder `*.corrupt-N`. Raises IndexFault."""
        found = [file for file in self.path.iterdir() if _CHROMA_FILES.fullmatch(file.name)]
        if not found:
            return
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        try:
            aside.mkdir()
            for file in found:
                file.rename(aside / file.name)
        except OSError as error:
            raise IndexFault(
                "refused",
                f"cannot move {self.path} aside to {aside}: {error.strerror}; delete the folder by hand",
            ) from None

    def _refuse_foreign_files(self) -> None:
        """Raise IndexFault for a folder with other files and none of ours: it belongs to something else."""
        names = {file.name for file in self.path.iterdir()} - _HARMLESS
        if names and not any(_CHROMA_FILES.fullmatch(name) for name in names):
            raise IndexFault(
                "refused",
                f"memory folder {self.path} holds other files ({min(names)}) and no memory; {_ELSEWHERE}, "
                "empty or new, and run `arcpoint memory rebuild`",
            )

    def _locked(self, owner: int) -> IO[str]:
        lock = (self.path / LOCK_NAME).open("a+", encoding="utf-8")
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.seek(0)
                    holder = lock.read().strip() or "another"
                    raise IndexFault(
                        "refused",
                        f"memory folder {self.path} is in use by process {holder}; stop it or {_ELSEWHERE}",
                    ) from None
                time.sleep(0.05)
            else:
                break
        lock.truncate(0)
        lock.write(f"{owner}\n")
        lock.flush()
        os.fsync(lock.fileno())
        return lock
