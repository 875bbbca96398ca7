"""Postmortems as Markdown files: copies of what the database holds, each whole or not there at all.

A file begins with front matter, among it the digest of the text below. So a text that a person has changed is
recognized wherever the file lies, and is never replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from uuid import uuid4

from context_builder.postmortems.records import MAX_CHARACTERS, StoredPostmortem, body_digest
from context_builder.question.request import QuestionError

_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_MAX_NAME = 120
_MAX_BYTES = 8 * MAX_CHARACTERS
_LEFT_OVER_S = 3_600
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^([a-z_0-9]+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class FolderUnusable(OSError):
    """Nothing can be written to the folder; the message says why."""


class FileState(Enum):
    """How the file of a postmortem stands to what the database holds."""

    CURRENT = "current"
    MISSING = "missing"
    BEHIND = "behind"
    """It is as a run has written it, and the database has gone on."""
    EDITED = "edited"
    """A person has changed it, or it never was a copy."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A postmortem as it was found in a file."""

    body: str
    """Without the front matter."""
    incident: str | None
    """The incident that the front matter names."""
    digest: str | None
    """Of the body as it was written; None: it was not written by a run."""

    @property
    def is_edited(self) -> bool:
        """Whether the text is not the one that a run has written."""
        return self.digest != body_digest(self.body)


class PostmortemFiles:
    """One folder of postmortems, a file for each incident. All methods block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Makes the folder and proves that a file can be written there. Raises FolderUnusable."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._drop_leftovers()
            self._replace(self.folder / f".{uuid4().hex}.probe", "").unlink()
        except OSError as error:
            raise FolderUnusable(
                f"cannot write postmortems to {self.folder}: {error.strerror}; choose another folder"
            ) from None

    def _drop_leftovers(self) -> None:
        """Removes drafts of runs that were killed; no draft that is being written is as old."""
        for draft in self.folder.glob(".*.tmp"):
            with suppress(FileNotFoundError):  # another run has just been done with it
                if time.time() - draft.stat().st_mtime > _LEFT_OVER_S:
                    draft.unlink()

    def path(self, incident: str) -> Path:
        """Where the postmortem of an incident belongs."""
        return self.folder / f"{file_stem(incident)}.md"

    def is_edited(self, incident: str) -> bool:
        """Whether a person has changed the incident's file. Raises OSError."""
        path = self.path(incident)
        return path.is_file() and parsed(_text(path)).is_edited

    def state(self, postmortem: StoredPostmortem) -> FileState:
        """How its file stands. Raises OSError."""
        path = self.path(postmortem.incident)
        if not path.exists():
            return FileState.MISSING
        text = _text(path)
        if text == file_text(postmortem):
            return FileState.CURRENT
        read = parsed(text)
        if body_digest(read.body) == body_digest(postmortem.markdown):
            # Its body is what the database holds, however the front matter came to differ.
            return FileState.BEHIND
        return FileState.EDITED if read.is_edited else FileState.BEHIND

    def write(self, postmortem: StoredPostmortem) -> Path:
        """Writes its file in one step, replacing an older one. Raises OSError."""
        return self._replace(self.path(postmortem.incident), file_text(postmortem))

    @staticmethod
    def _replace(path: Path, text: str) -> Path:
        draft = path.with_name(f".{path.stem[:40]}.{uuid4().hex}.tmp")
        try:
            with draft.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return path


def file_text(postmortem: StoredPostmortem) -> str:
    """Front matter and text."""
    values = {
        "incident": postmortem.incident,
        "status": postmortem.status,
        "provenance": postmortem.provenance,
        "model": postmortem.model,
        "created_at": postmortem.created_at.isoformat(),
        "body_sha256": body_digest(postmortem.markdown),
    }
    lines = (f"{key}: {_yaml(value)}" for key, value in values.items())
    return "\n".join(["---", *lines, "---", "", postmortem.markdown.lstrip("\n")])


def parsed(text: str) -> ReadFile:
    """The parts of a file's text, whatever its line endings."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT_MATTER.match(text)
    if front is None:
        return ReadFile(text, None, None)
    entries = dict(_ENTRY.findall(front.group(1)))
    return ReadFile(text[front.end() :], _value(entries.get("incident")), _value(entries.get("body_sha256")))


def read_edited(path: Path, incident: str) -> str:
    """The text that a person's file brings in for an incident. Raises QuestionError and OSError."""
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
    """A file name for a public id, which may hold anything; different ids never share one."""
    plain = _UNUSUAL.sub("_", incident).lstrip(".")[:_MAX_NAME]
    if plain and plain == incident:
        return plain
    return f"{plain}-{hashlib.sha256(incident.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _yaml(value: str | None) -> str:
    """A value as JSON, which YAML reads as well; characters that YAML does not take are escaped."""
    return _ESCAPE.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False))


def _value(written: str | None) -> str | None:
    """What an entry says, as JSON or bare, as people write it."""
    if written is None:
        return None
    try:
        value = json.loads(written)
    except ValueError:
        return written.strip("'\"")
    return None if value is None else str(value)
