"""Exports incidents and postmortems to a folder of Markdown files, to JSON Lines, or to standard output."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import func, select

from api.archive.errors import ArchiveError
from api.archive.files import JSON_LINES, MARKDOWN, STANDARD_STREAM
from api.archive.front_matter import write_markdown
from api.archive.importer import Report
from api.archive.json_lines import write_json_line
from api.archive.postmortem_files import file_stem
from api.archive.replaced_file import replaced_file
from models import Incident, Postmortem
from models.database import Database, ReadSession

Members = dict[str, Any]
"""One incident as JSON; its `postmortem` holds the Markdown."""

_INCIDENTS_PER_READ = 200
_NOT_FORGOTTEN = Incident.forgotten_at.is_(None)
_ACCEPTED = "accepted are a folder, a file .jsonl, or - for standard output"
_POSTMORTEM_TEXTS = ("status", "provenance", "summary", "root_cause", "resolution", "model", "reviewed_by")
_POSTMORTEM_TIMES = ("created_at", "edited_at", "reviewed_at")


class _Target:
    """Where an export goes. Methods block; `close` waits for a `write` that is going on."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        self._path = path
        self._replace = replace
        self._lock = threading.Lock()
        self._resources = ExitStack()
        self._lines: Any = None

    def open(self) -> None:
        """Make the folder, or begin the file beside its place. Raises ArchiveError."""
        path, suffix = self._path, self._path.suffix.lower()
        try:
            if str(path) == STANDARD_STREAM:
                self._lines = sys.stdout
            elif suffix in MARKDOWN or (suffix not in JSON_LINES and path.is_file()):
                raise ArchiveError(f"cannot export to {path}; {_ACCEPTED}")
            elif not self._replace and _has_content(path):
                raise ArchiveError(f"{path} has content already; name another path, or say --replace")
            elif suffix in JSON_LINES:
                self._lines = self._resources.enter_context(replaced_file(path))
            else:
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveError(f"cannot write to {path}: {error.strerror}") from None

    def write(self, incidents: Sequence[Members]) -> None:
        """Write incidents, each file in one step. Raises OSError."""
        with self._lock:
            if self._lines is not None:
                # In UTF-8, whatever the encoding of a terminal.
                self._lines.buffer.writelines(write_json_line(members).encode() for members in incidents)
                self._lines.buffer.flush()
                return
            for members in incidents:
                about = members.get("postmortem")
                text = about.pop("markdown") if about else ""
                with replaced_file(self._path / f"{file_stem(members['id'])}.md") as file:
                    file.write(write_markdown(members, text))

    def close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put a file of JSON Lines in its place; after an error, leave nothing half-written."""
        with self._lock:
            self._resources.__exit__(kind, error, trace)


def _has_content(path: Path) -> bool:
    return path.exists() and (path.suffix.lower() in JSON_LINES or any(path.iterdir()))


async def export_archive(
    database: Database, path: Path, *, replace: bool = False, progress: Report | None = None
) -> int:
    """Write every incident that was not forgotten, as of one moment, the oldest first; return how many.

    Raises:
        ArchiveError: the path cannot be used, or is there already and `replace` is not set.
        OSError: a disk failed on the way.
    """
    done = 0
    target = _Target(path, replace=replace)
    await asyncio.to_thread(target.open)
    async with AsyncExitStack() as resources:

        async def close(*error: Any) -> None:
            await asyncio.to_thread(target.close, *error)

        resources.push_async_exit(close)
        async with database.read() as session:
            total = await session.scalar(select(func.count()).select_from(Incident).where(_NOT_FORGOTTEN))
            async for page in _pages(session):
                await asyncio.to_thread(target.write, page)
                done += len(page)
                if progress is not None:
                    progress(done, total or 0)
    return done


async def _pages(session: ReadSession) -> AsyncIterator[list[Members]]:
    last = 0
    while True:
        rows = await session.execute(
            select(Incident, Postmortem)
            .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
            .where(_NOT_FORGOTTEN, Incident.id > last)
            .order_by(Incident.id)
            .limit(_INCIDENTS_PER_READ)
        )
        page = rows.all()
        if not page:
            return
        last = page[-1][0].id
        yield [members_of(incident, postmortem) for incident, postmortem in page]
        session.expunge_all()


def members_of(incident: Incident, postmortem: Postmortem | None) -> Members:
    """Return an incident as an archive holds it; null states that there is nothing."""
    members: Members = {
        "id": incident.public_id,
        "title": incident.title,
        "severity": incident.severity,
        "target": incident.target,
        "started_at": _iso(incident.started_at),
        "resolved_at": _iso(incident.resolved_at),
        "status": incident.review,
        "provenance": incident.provenance,
        "symptoms": incident.symptoms,
        "root_cause": incident.root_cause,
        "resolution": incident.resolution,
    }
    if postmortem is not None:
        about = {name: getattr(postmortem, name) for name in _POSTMORTEM_TEXTS}
        about |= {name: _iso(getattr(postmortem, name)) for name in _POSTMORTEM_TIMES}
        members["postmortem"] = about | {"markdown": postmortem.markdown}
    return members


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
