"""Single requests of the log with their user and deployment, also of days that are in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Deployment, Request, User
from models.request_log.cold import log_rows

_OTHERS = [each for each in Request.__mapper__.column_attrs if each.key not in ("id", "created_at")]
_COLUMNS = [Request.id, Request.created_at, *(getattr(Request, each.key) for each in _OTHERS)]
_NAMES = ["id", "created_at", *(each.key for each in _OTHERS)]


@dataclass(frozen=True, slots=True)
class OwnedRequest:
    """A request with what its ids stand for."""

    request: Request
    """Not of a session: changing it changes nothing."""
    deployment: Deployment
    user: User

    @property
    def tier(self) -> str | None:
        """Return the user's tier at the time of the request; None: tier or budget changed later."""
        return self.user.tier if self.user.updated_at <= self.request.created_at else None


async def load_request(session: AsyncSession, public_id: str) -> OwnedRequest | None:
    """Load a request by its id; cold days are searched only if it is not in the database.

    Raises:
        ColdDayUnreadable: It may be in a file that cannot be read.
    """
    statement = select(*_COLUMNS).where(Request.public_id == public_id)
    rows = (await session.execute(statement)).all() or await log_rows(session, statement)
    found = await _with_owners(session, rows)
    return found[0] if found else None


async def load_requests(
    session: AsyncSession,
    condition: ColumnElement[bool],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[OwnedRequest]:
    """Load the requests of a condition, which an index serves, the newest first.

    Raises:
        ColdDayUnreadable: A day of the span is in a file that cannot be read.
    """
    found = await log_rows(session, select(*_COLUMNS).where(condition), since=since, until=until)
    return await _with_owners(session, found)


async def _with_owners(session: AsyncSession, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[OwnedRequest]:
    requests = [Request(**dict(zip(_NAMES, row, strict=True))) for row in rows]
    owners: list[dict[int, Any]] = []
    for table, name in ((Deployment, "deployment_id"), (User, "user_id")):
        ids = {getattr(one, name) for one in requests}
        found = await session.scalars(select(table).where(table.id.in_(ids))) if ids else ()
        owners.append({one.id: one for one in found})
    deployments, users = owners
    return [OwnedRequest(one, deployments[one.deployment_id], users[one.user_id]) for one in requests]
