"""Postmortems as Markdown files: copies of what the database holds, each whole or not there at all.

A file begins with front matter that holds the digest of the text below, so that a text that a person has
changed is recognized wherever the file lies, and is never replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import uuid4

from api.archive.errors import DocumentRejected, Location
from api.archive.front_matter import read_yaml, split_front_matter
from api.archive.replaced_file import replaced_file
from api.errors import ArcpointApiError
from context_builder.postmortems.records import MAX_CHARACTERS, StoredPostmortem, body_digest
from context_builder.question.request import QuestionError

MAX_NAME = 120
"""Characters of a file name that come from the id of the incident."""
_MAX_BYTES = 8 * MAX_CHARACTERS
_MAX_DRAFT_AGE_S = 3_600
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class FolderUnusable(ArcpointApiError, OSError):
    """Nothing can be written to the folder; the message says why."""


class FileState(Enum):
    """How the file of a postmortem compares with the database."""

    CURRENT = "current"
    MISSING = "missing"
    BEHIND = "behind"
    """As a run wrote it, but the database has changed since."""
    EDITED = "edited"
    """Changed by a person, or never a copy."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A postmortem as it was found in a file."""

    body: str
    """Text without the front matter."""
    incident: str | None
    """Incident that the front matter names."""
    digest: str | None
    """Digest of the body as it was written; None if no run wrote it."""

    @property
    def is_edited(self) -> bool:
        """True if the text is not the one that a run wrote."""
        return self.digest != body_digest(self.body)


class PostmortemFiles:
    """A folder of postmortems, one file for each incident. All methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder and test that files can be written to it. Raises FolderUnusable."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_old_drafts()
            probe = self.folder / f".{uuid4().hex}.probe"
            with replaced_file(probe):
                pass
            probe.unlink()
        except OSError as error:
            raise FolderUnusable(
                f"cannot write postmortems to {self.folder}: {error.strerror}; choose another folder"
            ) from None

    def _remove_old_drafts(self) -> None:
        """Remove the drafts of runs that were killed; a draft that is being written is younger."""
        for draft in self.folder.glob(".*.tmp"):
            with suppress(FileNotFoundError):  # another run has just finished with it
                if time.time() - draft.stat().st_mtime > _MAX_DRAFT_AGE_S:
                    draft.unlink()

    def path(self, incident: str) -> Path:
        """Return the path of an incident's postmortem."""
        return self.folder / f"{file_stem(incident)}.md"

    def is_edited(self, incident: str) -> bool:
        """Return True if a person has changed the incident's file. Raises OSError."""
        path = self.path(incident)
        return path.is_file() and parsed(_text(path)).is_edited

    def state(self, postmortem: StoredPostmortem) -> FileState:
        """Return how the postmortem's file compares with it. Raises OSError."""
        path = self.path(postmortem.incident)
        if not path.exists():
            return FileState.MISSING
        text = _text(path)
        if text == file_text(postmortem):
            return FileState.CURRENT
        read = parsed(text)
        # A body that is what the database holds was not edited, whatever became of the front matter.
        is_behind = not read.is_edited or body_digest(read.body) == body_digest(postmortem.markdown)
        return FileState.BEHIND if is_behind else FileState.EDITED

    def write(self, postmortem: StoredPostmortem) -> Path:
        """Write the postmortem's file in one step, replacing an older one. Raises OSError."""
        path = self.path(postmortem.incident)
        with replaced_file(path) as file:
            file.write(file_text(postmortem))
        return path


def file_text(postmortem: StoredPostmortem) -> str:
    """Return the front matter, whose values are JSON and so YAML, and the text."""
    values = {
        "incident": postmortem.incident,
        "status": postmortem.status,
        "provenance": postmortem.provenance,
        "model": postmortem.model,
        "created_at": postmortem.created_at.isoformat(),
        "body_sha256": body_digest(postmortem.markdown),
    }
    lines = (f"{key}: {_json(value)}" for key, value in values.items())
    return "\n".join(["---", *lines, "---", "", postmortem.markdown.lstrip("\n")])


def parsed(text: str) -> ReadFile:
    """Return the parts of a file's text; front matter that is no YAML says nothing."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front, begins = split_front_matter(text)
    members: dict[str, Any] = {}
    with suppress(DocumentRejected):
        members = read_yaml(front or "", Location(""))
    incident, digest = members.get("incident"), members.get("body_sha256")
    return ReadFile(text[begins:], incident and str(incident), digest and str(digest))


def read_edited(path: Path, incident: str) -> str:
    """Return the text that a person's file has for an incident.

    Raises:
        QuestionError: too large, not UTF-8, or the file is about another incident.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise QuestionError(f"{path}: has more than {_MAX_BYTES:,} bytes; a postmortem is much smaller")
    try:
        read = parsed(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise QuestionError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    if read.incident not in (None, incident):
        raise QuestionError(f"{path}: is the postmortem of incident {read.incident!r}, not of {incident!r}")
    return read.body


def file_stem(incident: str) -> str:
    """Return a file name for a public id, which may hold anything; different ids never share one."""
    plain = _UNUSUAL.sub("_", incident).lstrip(".")[:MAX_NAME]
    if plain and plain == incident:
        return plain
    return f"{plain}-{hashlib.sha256(incident.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _json(value: str | None) -> str:
    """Return a value as JSON; characters that YAML does not take are escaped."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False))
