"""Schema migrations by Alembic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
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


async def upgrade(database: Database, progress: Callable[[int, int], None] | None = None) -> None:
    """Apply the missing migrations, in one transaction where rows need not be rewritten.

    A revision that rewrites many rows has `prepare`, which does it in batches, each in a transaction of its
    own, before the schema changes, and `clean_up` for what is left over after it. If the upgrade is
    interrupted, running it again continues. `progress` is called with the batches done and in total.

    Raises:
        DatabaseUnreachable: The database does not answer, or its folder cannot be created.
        DatabaseReadOnly: The database is open read-only, or refuses writes.
    """
    try:
        with database.writing():
            if database.is_sqlite:
                await asyncio.to_thread(_make_folder, database.path.parent)
            await _upgrade(database, progress or (lambda _done, _total: None))
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and not error.connection_invalidated and error.statement is not None:
            raise
        raise DatabaseUnreachable(f"cannot use the database {database.shown_url}: {error}") from error


async def _upgrade(database: Database, progress: Callable[[int, int], None]) -> None:
    async def commit(work: Callable[..., Any], *arguments: Any) -> Any:
        async with database.write_engine.begin() as connection:
            return await connection.run_sync(work, *arguments)

    rewriting = await asyncio.to_thread(_rewriting_scripts, await database.revision())
    for script, is_applied in rewriting:
        if is_applied:
            continue
        await commit(run, str(script.down_revision))
        batches = await commit(script.module.prepare_batches)
        for done, batch in enumerate(batches, start=1):
            await commit(script.module.prepare, batch)
            progress(done, len(batches))
    await commit(run, "head")
    for script, _ in rewriting:
        while await commit(script.module.clean_up):
            pass


def _rewriting_scripts(revision: str | None) -> list[tuple[Script, bool]]:
    """Return the scripts that rewrite rows in the order of revisions, and whether each is applied already."""
    scripts = ScriptDirectory.from_config(_config())
    applied = {each.revision for each in scripts.iterate_revisions(revision, "base")} if revision else set()
    ordered = reversed([*scripts.walk_revisions()])
    return [(each, each.revision in applied) for each in ordered if hasattr(each.module, "prepare")]


def run(connection: Connection, revision: str) -> None:
    """Migrate in the transaction of a connection."""
    command.upgrade(_config(connection), revision)


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
