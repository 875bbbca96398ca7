"""Single requests of the log with their user and deployment, also of days that are in files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
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
    requests = [Request(**dict(zip(_NAMES, row, strict=True))) for row in found]
    deployment_ids, user_ids = ({getattr(one, name) for one in requests} for name in ("deployment_id", "user_id"))
    deployments = await session.scalars(select(Deployment).where(Deployment.id.in_(deployment_ids)))
    users = await session.scalars(select(User).where(User.id.in_(user_ids)))
    deployment_of, user_of = {one.id: one for one in deployments}, {one.id: one for one in users}
    return [OwnedRequest(one, deployment_of[one.deployment_id], user_of[one.user_id]) for one in requests]
