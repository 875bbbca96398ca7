"""`make bench`: build time, CPU per context and packing. Compare ratios within one run, not runs."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from pathlib import Path

from bench.contexts import max_not_sum, story
from bench.packing import packing
from models.database import Database
from prepared_databases import PostgresServer, seed_story


def main() -> None:
    """Prints every table."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors")  # noqa: T201  a report
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        sqlite_url = f"sqlite:///{folder}/story.db"
        seed_story(sqlite_url)
        server = PostgresServer(Path(folder) / "pg")
        try:
            asyncio.run(_contexts(sqlite_url, server.url(server.clone(seed_story))))
        finally:
            server.stop()
    packing()


async def _contexts(sqlite_url: str, postgres_url: str) -> None:
    databases = {"SQLite": Database(sqlite_url), "PostgreSQL": Database(postgres_url)}
    await max_not_sum(databases)
    await story(databases)
    for database in databases.values():
        await database.close()


if __name__ == "__main__":
    main()
