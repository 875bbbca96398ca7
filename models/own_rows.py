"""Narrows a session to what one user may see: their own rows, and tables that hold nothing of a user.

A table is closed unless it is listed here or refers to a user, so that a new one shows nothing to such a
session. Statements must be built from the mapped classes; SQL in text is not narrowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import ColumnElement, event, false, select, true
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.orm.util import LoaderCriteriaOption

from models.database import ReadSession
from models.tables.gateway.deployments import Deployment
from models.tables.gateway.incidents import Incident
from models.tables.gateway.quality import QualityScore
from models.tables.gateway.requests import Request
from models.tables.gateway.users import User
from models.tables.operations.health_checks import HealthCheck
from models.tables.operations.schedules import MaintenanceWindow, OperatingHours
from models.tables.operations.state_transitions import StateTransition
from models.tables.product.api_keys import ApiKey
from models.tables.product.memory import MemoryEntry, MemoryIndex, MemoryName
from models.tables.schema import Table

NO_USER = 0
"""Id of no user: a session of it sees the open tables alone."""
OPEN_TABLES: frozenset[type[Table]] = frozenset(
    {
        *(Deployment, HealthCheck, Incident, MaintenanceWindow, MemoryEntry, MemoryIndex, MemoryName),
        *(OperatingHours, StateTransition),
    }
)
"""State of the gateway. Their free text may still name a user, and has to be checked by those who show it."""
_MAX_KEPT = 256


@contextmanager
def only_rows_of(session: ReadSession, user_id: int | None) -> Iterator[None]:
    """Let a session read, within the block, only what this user may see; None restricts nothing."""
    if user_id is None:
        yield
        return
    criteria = _criteria(user_id)

    def narrow(state: ORMExecuteState) -> None:
        if state.is_select:
            state.statement = state.statement.options(*criteria)

    event.listen(session.sync_session, "do_orm_execute", narrow)
    try:
        yield
    finally:
        event.remove(session.sync_session, "do_orm_execute", narrow)


@lru_cache(_MAX_KEPT)
def _criteria(user_id: int) -> Sequence[LoaderCriteriaOption]:
    tables = [mapper.class_ for mapper in Table.registry.mappers if mapper.class_ not in OPEN_TABLES]
    return [with_loader_criteria(table, visible(table, user_id), include_aliases=True) for table in tables]


def visible(table: type[Table], user_id: int) -> ColumnElement[bool]:
    """Return the condition for the rows of a table that a user may see."""
    if table in OPEN_TABLES:
        return true()
    if table is User:
        return User.id == user_id
    if table is QualityScore:
        return QualityScore.request_id.in_(select(Request.id).where(Request.user_id == user_id))
    if table is Request:
        return Request.user_id == user_id
    for column in () if table is ApiKey else table.__table__.columns:
        if any(key.column is User.__table__.c.id for key in column.foreign_keys):
            return column == user_id
    return false()
