"""Postmortems as Markdown files: copies of what the database holds, each whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from uuid import uuid4

from context_builder.postmortems.writer import PostmortemText

_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 120
_BY_CODE = "| Written by | code, no model"


class FolderUnusable(OSError):
    """Nothing can be written to the folder; the message says why."""


class PostmortemFiles:
    """One folder of postmortems, a file for each incident. All methods block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Makes the folder and proves that a file can be written there. Raises FolderUnusable."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._replace(self.folder / f".{uuid4().hex}.probe", "").unlink()
        except OSError as error:
            raise FolderUnusable(
                f"cannot write postmortems to {self.folder}: {error.strerror}; choose another folder"
            ) from None

    def path(self, incident: str) -> Path:
        """Where the postmortem of an incident belongs."""
        return self.folder / f"{file_stem(incident)}.md"

    def lacks(self, postmortem: PostmortemText) -> bool:
        """Whether there is no file of it, or one that code wrote before a model did. Raises OSError."""
        path = self.path(postmortem.incident)
        if not path.exists():
            return True
        return postmortem.model is not None and _BY_CODE in path.read_text("utf-8", "replace")

    def write(self, postmortem: PostmortemText) -> Path:
        """Writes its file in one step, replacing an older one. Raises OSError."""
        return self._replace(self.path(postmortem.incident), postmortem.markdown)

    @staticmethod
    def _replace(path: Path, text: str) -> Path:
        draft = path.with_name(f".{path.stem[:40]}.{uuid4().hex}.tmp")
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return path


def file_stem(incident: str) -> str:
    """A file name for a public id, which may hold anything; different ids never share one."""
    plain = _UNUSUAL.sub("_", incident).lstrip(".")[:_LONGEST_NAME]
    if plain and plain == incident:
        return plain
    return f"{plain}-{hashlib.sha256(incident.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
