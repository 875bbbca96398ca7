"""Runs migrations on the connection, or the URL, that the caller puts into the configuration."""

from __future__ import annotations

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from models.database import Database
from models.tables.schema import Money, Table, UtcDateTime


def plain_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Migrations name the database's types, so that they outlive the classes of today."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Money):
        return "sa.BigInteger()"
    return False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        compare_type=True,
        render_item=plain_type,
        compare_server_default=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_url(url: str) -> None:
    database = Database(url)
    async with database.write_engine.begin() as connection:
        await connection.run_sync(migrate)
    await database.close()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(migrate_url(context.get_x_argument(as_dictionary=True).get("url", "sqlite:///arcpoint.db")))
