"""Whether a statement reads a bounded part of the request log, by the plan that the database makes for it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from models.database import Database, ReadSession
from tests.support.statements import Statement

_BY_KEY = ("INTEGER PRIMARY KEY", "sqlite_autoindex_requests_1")
DAY_OF_THE_LOG = re.compile(r"requests(_before)?_\d{8}")
_KEEPS_LIMIT = {
    "Limit",
    "Incremental Sort",
    "Subquery Scan",
    "Nested Loop",
    "Memoize",
    "Append",
    "Merge Append",
}


@asynccontextmanager
async def planning(database: Database) -> AsyncIterator[ReadSession]:
    """A session in which PostgreSQL treats a small table as a large one: it sorts only where it must."""
    async with database.read() as session:
        if not database.is_sqlite:
            for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
                await session.execute(text(f"SET LOCAL enable_{way} = off"))
        yield session


async def unbounded(session: ReadSession, statement: Statement) -> list[str]:
    """Where the plan reads requests neither by key nor in the order of an index up to a LIMIT."""
    sql, parameters = statement
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        rows: Any = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return list(_sqlite([(row[1], row[3]) for row in rows], limited=_is_limited(sql)))
    rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
    return list(_postgresql(rows.scalar_one()[0]["Plan"], limited=False))


def _is_limited(sql: str) -> bool:
    """SQLite's plans show neither limits nor sums."""
    return "LIMIT" in sql and not re.search(r"\b(count|sum|min|max)\(", sql)


def _sqlite(steps: list[tuple[int, str]], *, limited: bool) -> Iterator[str]:
    siblings: defaultdict[int, list[str]] = defaultdict(list)
    for parent, step in steps:
        siblings[parent].append(step)
    for parent, step in steps:
        if not step.startswith(("SCAN requests", "SEARCH requests")) or any(key in step for key in _BY_KEY):
            continue
        sorts = any("TEMP B-TREE FOR ORDER BY" in one for one in siblings[parent])
        if not limited or sorts or "INDEX" not in step:
            yield step


def _postgresql(node: dict[str, Any], *, limited: bool) -> Iterator[str]:
    kind = node["Node Type"]
    if DAY_OF_THE_LOG.fullmatch(node.get("Relation Name", "")):
        by_key = "(id = " in node.get("Index Cond", "") or "public_id" in node.get("Index Cond", "")
        if not by_key and not (limited and kind.startswith("Index")):
            yield f"{kind} on requests"
    for place, child in enumerate(node.get("Plans", ())):
        # A LIMIT ends the reading of what is below it, unless something in between has to read it all.
        keeps = kind == "Limit" or (limited and kind in _KEEPS_LIMIT and (place == 0 or "Append" in kind))
        yield from _postgresql(child, limited=keeps)
