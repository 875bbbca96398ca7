"""Schema migrations by Alembic."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from models.database import Database
from models.errors import DatabaseUnreachable

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "alembic_scripts", _HERE.parent / "alembic")
"""In an installed wheel, and in a checkout."""


def _config(connection: Connection | None = None) -> Config:
    """Return the configuration of Alembic's commands, which run in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(next(folder for folder in _FOLDERS if folder.is_dir())))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    """Return the revision that this version of the code needs."""
    (head,) = ScriptDirectory.from_config(_config()).get_heads()
    return head


async def upgrade(database: Database) -> None:
    """Apply the missing migrations in one transaction.

    Raises:
        DatabaseUnreachable: The database does not answer, or its folder cannot be created.
        DatabaseReadOnly: The database is open read-only, or refuses writes.
    """

    def run(connection: Connection) -> None:
        command.upgrade(_config(connection), "head")

    try:
        with database.writing():
            if database.is_sqlite:
                await asyncio.to_thread(_make_folder, database.path.parent)
            async with database.write_engine.begin() as connection:
                await connection.run_sync(run)
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and not error.connection_invalidated and error.statement is not None:
            raise
        raise DatabaseUnreachable(f"cannot use the database {database.shown_url}: {error}") from error


async def downgrade(database: Database, revision: str) -> None:
    """Downgrade to an older schema in one transaction; data that it cannot hold is lost."""

    def run(connection: Connection) -> None:
        command.downgrade(_config(connection), revision)

    async with database.write_engine.begin() as connection:
        await connection.run_sync(run)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnreachable(f"cannot create the folder {folder}: {error.strerror}") from error
