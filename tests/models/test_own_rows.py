"""A session that is narrowed to one user reads no row of another, of any table."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, true, union_all
from sqlalchemy.orm import aliased

from models import Incident, Request, User, UserAction, UserSpend
from models.database import Database, ReadSession
from models.own_rows import NO_USER, OPEN_TABLES, only_rows_of, visible
from models.tables.schema import Table
from tests.support.gateway import MINUTE, NOON, Gateway
from tests.support.ops_events import config, error

OPEN = ["Deployment", "HealthCheck", "Incident", "MaintenanceWindow", "MemoryEntry", "MemoryIndex",
        "MemoryName", "OperatingHours", "StateTransition"]  # fmt: skip
OWN = ["QualityScore", "Request", "User", "UserAction", "UserSpend"]


async def test_every_table_is_open_own_or_closed() -> None:
    """A new table is closed until it is listed; what refers to users is theirs."""
    tables = [mapper.class_ for mapper in Table.registry.mappers]
    closed = [table for table in tables if str(visible(table, 7)) == "false"]
    own = set(tables) - OPEN_TABLES - set(closed)
    assert sorted(table.__name__ for table in OPEN_TABLES) == OPEN
    assert sorted(table.__name__ for table in own) == OWN


async def counts(session: ReadSession) -> list[int]:
    """Rows by many ways of asking."""
    narrow = select(Request.id).where(Request.status == "success").order_by(Request.id).limit(9).subquery()
    parts = union_all(narrow.select(), narrow.select()).subquery()
    other = aliased(Request)
    spent = (
        select(UserSpend.user_id, func.sum(UserSpend.requests).label("n"))
        .group_by(UserSpend.user_id)
        .subquery()
    )
    statements = [
        select(func.count()).select_from(User),
        select(func.count()).where(User.tier == "premium"),
        select(func.count(Request.id)),
        select(func.count()).select_from(parts),
        select(func.count()).select_from(other),
        select(func.count()).select_from(Incident).outerjoin(User, true()),
        select(func.count()).where(select(1).where(Request.user_id == User.id).exists()),
        select(func.coalesce(func.sum(spent.c.n), 0)),
        select(select(func.count()).select_from(UserAction).scalar_subquery()),
    ]
    return [int(await session.scalar(statement) or 0) for statement in statements]


@pytest.mark.both_databases
async def test_no_way_of_asking_reaches_anothers_rows(database: Database) -> None:
    """Neither columns, counts, joins, aliases, unions nor subqueries; open tables are there, others not."""
    gateway = Gateway(database)
    await gateway.deployment()
    await gateway.incident()
    for name, requests in (("user_a", 1), ("user_b", 3)):
        number = await gateway.user(name)
        await gateway.send(*(NOON - n * MINUTE for n in range(1, requests + 1)), user=name)
        await gateway.add(UserAction(user_id=number, occurred_at=NOON, action="x"))
    await gateway.add(error(), config())
    own, _ = gateway.users["user_a"]
    async with gateway.database.read() as session:
        everything = await counts(session)
        with only_rows_of(session, own):
            assert await counts(session) == [1, 1, 1, 2, 1, 1, 1, 1, 1]
            assert await session.get(User, own + 1) is None
        with only_rows_of(session, NO_USER):
            assert await counts(session) == [0, 0, 0, 0, 0, 1, 0, 0, 0]
        assert await counts(session) == everything
        assert everything[:5] == [2, 2, 4, 8, 4]
