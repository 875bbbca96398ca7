"""The newest rejected items, for anyone who wonders where they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, or_, select

from models import IngestReject
from models.database import WriteSession

MAX_KEPT = 10_000
KEPT_FOR = timedelta(days=7)


async def store_rejects(session: WriteSession, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Add rejected items, and remove those that are old or too many."""
    if not rows:
        return
    await session.execute(insert(IngestReject), list(rows))
    newest = select(func.max(IngestReject.id)).scalar_subquery()
    outdated = or_(IngestReject.id <= newest - MAX_KEPT, IngestReject.received_at < now - KEPT_FOR)
    await session.execute(delete(IngestReject).where(outdated))
