"""Fixtures for every test: real databases built by the migrations, and an event loop that must not block."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings
from sqlalchemy import Connection, Engine, event

from models.database import Database
from tests.loopback.fixtures import (  # noqa: F401 - for any test
    make_batches,
    make_claude,
    messages_api,
    messages_api_server,
)
from tests.support.compiled_statements import CompiledStatements
from tests.support.fork_server import forking
from tests.support.prepared_databases import PostgresServer, made_once, migrate, seed_story

# A background shell ignores SIGINT, and its children inherit that: no Ctrl-C would reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Little of what tests leave behind refers to itself: to look for it as usual takes a twentieth of the time.
gc.set_threshold(20_000, 20, 20)

# No test reaches a model hub or a real API, whatever the shell that starts it has set.
os.environ["HF_HUB_OFFLINE"] = "1"
for name in [name for name in os.environ if re.match("ANTHROPIC_|ARCPOINT_(?!TEST_)", name)]:
    del os.environ[name]

# For properties that do not set a number of examples; `make exhaustive` draws 100.
settings.register_profile("quick", max_examples=20)  # chosen by `make check`
settings.register_profile("usual", max_examples=40)  # chosen by `make test`

# Like the product's; by default one with all local variables is drawn, which takes a second and nobody reads.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

# With it jsonschema compiles a grammar for formats that no schema of ours has, which takes four seconds.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# With it each process that a test starts would compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_ROOM = 2 * 1024**3
"""Bytes; a database takes some 10 MB and is dropped after its test."""


def _quick_folder() -> Path | None:
    """Memory, where there is enough: a busy disk makes a clone of a database take ten times as long."""
    memory = Path("/dev/shm")  # noqa: S108  the folders in it get names of their own
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return memory if has_room and os.access(memory, os.W_OK) else None


QUICK_FOLDER = _quick_folder()
if QUICK_FOLDER:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(QUICK_FOLDER))

PACKAGES = ["models", "memory", "context_builder", "api"]

_COSTS = {
    "database": {"sqlite_template", "sqlite_story_template", "postgres", "database_kind"},
    "postgres": {"postgres"},
    "process": {"shared_index", "own_index", "chroma_server", "start"},
}
"""Fixtures by what they cost: a test that asks for one bears the marker, so `-m` selects by cost."""

_STARTS = {"sqlite3.connect": "database", "subprocess.Popen": "process"}
"""Audit events that only a test with the marker may raise."""
_running: set[str] | None = None
"""Markers of the running test; None between tests, when fixtures of a session may start anything."""


def _audit(event: str, _arguments: object) -> None:
    if _running is None:  # as at the end of the interpreter, which has taken the names below apart
        return
    cost = _STARTS.get(event)
    if cost is not None and cost not in _running:
        raise RuntimeError(f"{event} in a test without the marker `{cost}`: `make check` must stay fast")


sys.addaudithook(_audit)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on SQLite, and on PostgreSQL as well where it is marked `both_databases`."""
    if "database_kind" in metafunc.fixturenames:
        kinds: list[object] = ["sqlite"]
        if metafunc.definition.get_closest_marker("both_databases"):
            kinds.append(pytest.param("postgresql", marks=pytest.mark.postgres))
        metafunc.parametrize("database_kind", kinds, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test with what its fixtures cost."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        for cost, fixtures in _COSTS.items():
            if names & fixtures:
                item.add_marker(cost)
        if item.get_closest_marker("model"):
            item.add_marker("process")


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later garbage collection."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Hold a test to the markers that it bears, where tests are chosen by their markers."""
    global _running  # noqa: PLW0603  an audit hook has no other way to know the test
    if item.config.option.markexpr:
        _running = {mark.name for mark in item.iter_markers()}
    try:
        return (yield)
    finally:
        _running = None


@pytest.fixture(scope="session", autouse=True)
def processes_start_quickly() -> Iterator[None]:
    """Those that a test does not want to start again."""
    with forking():
        yield


@pytest.fixture(scope="session", autouse=True)
def certificates_are_read_once() -> Iterator[None]:
    """In a process, and not for each client of HTTP, whose tests need them as little as they do."""
    with patch.object(ssl, "create_default_context", cache(ssl.create_default_context)):
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once() -> Iterator[None]:
    """In a process, and not for each database: compiling takes a quarter of the time of a context."""
    compiled = CompiledStatements()

    def share(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)

    event.listen(Engine, "engine_connect", share)
    yield
    event.remove(Engine, "engine_connect", share)
    compiled.clear()  # it would outlive what it refers to


@pytest.fixture(scope="session", autouse=True)
def event_loop_must_not_block() -> Iterator[BlockBuster]:
    """Any blocking call of ours on the event loop fails the test or fixture that made it."""
    with blockbuster_ctx(PACKAGES) as blockbuster:
        for function in blockbuster.functions.values():
            # Alembic reads files as it goes; nothing else runs while a schema is upgraded.
            function.can_block_in("models/migrations.py", {"run", "head_revision"})
            # The driver looks for certificate files whenever it connects.
            function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
            # Measuring coverage takes a lock whenever another thread has just begun to run.
            function.can_block_in("coverage/collector.py", {"lock_data"})
            # Stands for starting a process, which blocks as long.
            function.can_block_in("tests/support/fork_server.py", {"fork_exec"})
        blockbuster.functions["os.path.abspath"].deactivate()  # puts two strings together
        yield blockbuster


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers of this session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def sqlite_template(shared_folder: Path) -> Path:
    return made_once(shared_folder / "empty.db", migrate)


@pytest.fixture(scope="session")
def sqlite_story_template(shared_folder: Path) -> Path:
    return made_once(shared_folder / "story.db", seed_story)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    # A socket path may have 107 characters; pytest's own folders can be longer.
    folder = Path(tempfile.mkdtemp(prefix="arcpoint-pg-", dir=QUICK_FOLDER))
    server = PostgresServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "arcpoint.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.clone(migrate)
    yield postgres.url(name)
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_story_url(sqlite_story_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "story.db"
    shutil.copyfile(sqlite_story_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_story_url(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.clone(seed_story)
    yield postgres.url(name)
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str) -> str:
    """A migrated, empty database."""
    url: str = request.getfixturevalue("sqlite_url" if database_kind == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def story_url(request: pytest.FixtureRequest, database_kind: str) -> str:
    """A database that holds the demo story, which ends at `prepared_databases.STORY_ANCHOR`."""
    kind = "sqlite_story_url" if database_kind == "sqlite" else "postgres_story_url"
    url: str = request.getfixturevalue(kind)
    return url


@pytest.fixture
async def story(story_url: str) -> AsyncIterator[Database]:
    database = Database(story_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent
