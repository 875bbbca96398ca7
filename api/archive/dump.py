"""Exports what the database holds: incidents with their postmortems, as files or as JSON Lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import func, select

from api.archive.document import INCIDENT_TEXTS, POSTMORTEM_TEXTS, POSTMORTEM_TIMES
from api.archive.targets import Members, target_of
from api.ingest.file_thread import FileThread
from models import Incident, Postmortem
from models.database import Database, ReadSession

Report = Callable[[int, int], None]
"""Called with how many incidents are done and how many there are."""

_INCIDENTS_PER_READ = 200


async def export_archive(
    database: Database, path: Path, *, replace: bool = False, progress: Report | None = None
) -> int:
    """Writes every incident that was not forgotten, as of one moment, the oldest first; gives how many.

    With `replace` files that are there already are overwritten, each in one step. Raises ArchiveError.
    """
    done = 0
    async with AsyncExitStack() as resources:
        thread = FileThread()
        resources.callback(thread.end)
        target = await thread.run(target_of, path)
        await thread.run(partial(target.open, replace=replace))
        complete = False
        try:
            async with database.read() as session:
                total = await session.scalar(select(func.count()).select_from(Incident).where(_KEPT)) or 0
                async for page in _pages(session):
                    await thread.run(target.add, page)
                    done += len(page)
                    if progress is not None:
                        progress(done, total)
            complete = True
        finally:
            await thread.run(partial(target.close, complete=complete))
    return done


_KEPT = Incident.forgotten_at.is_(None)


async def _pages(session: ReadSession) -> AsyncIterator[list[Members]]:
    last = 0
    while True:
        rows = await session.execute(
            select(Incident, Postmortem)
            .outerjoin(Postmortem, Postmortem.incident_id == Incident.id)
            .where(_KEPT, Incident.id > last)
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
    """An incident as an archive holds it; null states that there is nothing."""
    members: Members = {"id": incident.public_id}
    members |= {name: getattr(incident, name) for name in INCIDENT_TEXTS[:3]}
    members |= {"started_at": _moment(incident.started_at), "resolved_at": _moment(incident.resolved_at)}
    members |= {"status": incident.review, "provenance": incident.provenance}
    members |= {name: getattr(incident, name) for name in INCIDENT_TEXTS[3:]}
    if postmortem is not None:
        about: Members = {"status": postmortem.status, "provenance": postmortem.provenance}
        about |= {name: getattr(postmortem, name) for name in POSTMORTEM_TEXTS}
        about |= {name: _moment(getattr(postmortem, name)) for name in POSTMORTEM_TIMES}
        members["postmortem"] = about | {"markdown": postmortem.markdown}
    return members


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
