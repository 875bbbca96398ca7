"""Migrations and models say the same."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from models.database import Database
from models.migrations import head_revision, upgrade
from models.schema import Table


async def test_autogenerate_finds_no_difference(database: Database) -> None:
    """The migrated schema is the schema of the models, on both databases."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    async with database.write_engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_check_of_the_models_is_in_the_database(database: Database) -> None:
    """Autogenerate does not compare CHECKs, so this does."""

    def checks(connection: Connection) -> set[str | None]:
        inspector = inspect(connection)
        return {
            check["name"]
            for table in Table.metadata.tables
            for check in inspector.get_check_constraints(table)
        }

    declared = {
        constraint.name
        for table in Table.metadata.tables.values()
        for constraint in table.constraints
        if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint")
        and not getattr(constraint, "_type_bound", False)
    }
    async with database.write_engine.connect() as connection:
        assert declared
        assert declared <= await connection.run_sync(checks)


async def test_upgrading_twice_changes_nothing(database: Database) -> None:
    """`arcpoint db upgrade` is idempotent."""
    await upgrade(database)
    assert await database.revision() == head_revision()
