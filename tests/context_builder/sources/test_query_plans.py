"""The cost of a question does not grow with the request log: no source scans it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from models.database import ReadSession
from tests.support.bounded_plans import DAY_OF_THE_LOG
from tests.support.gateway import HOUR, MINUTE, NOON, SOURCES, Gateway, asking, side
from tests.support.statements import Statement, captured

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.both_databases]

QUESTIONS = {
    "anything": asking(),
    "a ragged window": asking(since=NOON - 100 * MINUTE, until=NOON - 7 * MINUTE),
    "a week": asking(since=NOON - 168 * HOUR),
    "deployments": asking(deployment_ids=(1, 2)),
    "very many deployments": asking(deployment_ids=tuple(range(1, 60))),
    "tiers": asking(tiers=("premium", "budget")),
    "users": asking(user_ids=(1, 2)),
    "named rows": asking(request_ids=(1, 2, 3), incident_ids=(1,)),
    "users left out": asking(excluded_user_ids=(1, 2), tiers=("premium",)),
    "two windows": asking(
        sides=(side("now", NOON - 24 * HOUR, NOON), side("then", NOON - 48 * HOUR, NOON - 24 * HOUR))
    ),
    "everything": asking(deployment_ids=(1,), tiers=("budget",), user_ids=(3,), request_ids=(4,)),
}


async def scans(session: ReadSession, statement: Statement) -> list[str]:
    """Return the steps of a plan that scan the request log, by row or by index."""
    sql, parameters = statement
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        rows: Any = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
        steps = [row[3] for row in rows]
        # A search that names no index reads the table until it has the answer.
        return [step for step in steps if step.startswith("SCAN requests") or step == "SEARCH requests"]
    rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
    return list(_whole_reads(rows.scalar_one()[0]["Plan"]))


def _whole_reads(node: dict[str, Any]) -> Iterator[str]:
    kind = node["Node Type"]
    if DAY_OF_THE_LOG.fullmatch(node.get("Relation Name", "")) and (
        kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in node)
    ):
        yield f"{kind} on requests"
    for child in node.get("Plans", ()):
        yield from _whole_reads(child)


@asynccontextmanager
async def planning(gateway: Gateway) -> AsyncIterator[ReadSession]:
    """Open a session in which PostgreSQL scans even a small table only without an alternative."""
    async with gateway.database.read() as session:
        if not gateway.database.is_sqlite:
            # Both of these joins would take a whole small table through its primary key.
            for whole in ("seqscan", "mergejoin", "hashjoin"):
                await session.execute(text(f"SET LOCAL enable_{whole} = off"))
        yield session


@pytest.mark.parametrize("about", QUESTIONS)
async def test_no_statement_reads_the_request_log_whole(busy: Gateway, about: str) -> None:
    """Requests are found by key or by a range of an index, whatever is asked and whichever source asks."""
    with captured(busy.database) as statements:
        await busy.read_all(QUESTIONS[about])
    selects = [statement for statement in statements if statement[0].lstrip().startswith("SELECT")]
    if busy.database.is_sqlite:  # whose plans do not depend on the parameters
        selects = list(dict(selects).items())
    assert len(selects) > len(SOURCES), "most sources send several"
    async with planning(busy) as session:
        for statement in selects:
            assert await scans(session, statement) == [], statement[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT max(latency_ms) FROM requests WHERE latency_ms > 5",
        "SELECT created_at FROM requests ORDER BY created_at",
        "SELECT count(*) FROM users JOIN requests ON requests.task_type = users.public_id",
    ],
)
async def test_a_statement_that_does_is_found_out(busy: Gateway, sql: str) -> None:
    """The plan check detects scans by row, by index and within a join."""
    async with planning(busy) as session:
        assert await scans(session, (sql, ()))
