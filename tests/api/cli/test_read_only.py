"""Databases, folders and roles that cannot be written answer with ARCPOINT_READ_ONLY, and say so without."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command_line import Result, Run, finished, program
from tests.support.prepared_databases import PostgresServer, seed_story
from tests.support.without_rights import without_rights

QUESTION = "Which deployments are unhealthy?"
ANSWERED = "llama-70b/neocloud (fra-2) is DOWN"
HINT = "set ARCPOINT_READ_ONLY=true if it is only to be read\n"

Confined = Callable[..., Result]


@pytest.fixture
def folder(sqlite_story_template: Path, tmp_path: Path) -> Iterator[Path]:
    """The story in a folder that cannot be written, under a name that a URL would read otherwise."""
    folder = tmp_path / "what?#50% ü"
    folder.mkdir()
    shutil.copyfile(sqlite_story_template, folder / "x.db")
    (folder / "x.db").chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.fixture
def confined(environment: dict[str, str], folder: Path, repository: Path) -> Confined:
    """Runs a command that is bound by the modes of files, on that database."""

    def invoke(*arguments: str, read_only: bool = True) -> Result:
        variables = os.environ | {
            "PYTHONPATH": str(repository),
            "ARCPOINT_DATABASE_URL": f"sqlite:///{folder}/x.db",
            "ARCPOINT_MEMORY_PATH": str(folder / "memory"),
            "ARCPOINT_READ_ONLY": str(read_only),
        }
        return finished(
            subprocess.Popen(
                without_rights([*program(), *arguments]),
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    return invoke


@pytest.mark.process
def test_a_read_only_folder_is_asked_without_a_trace(confined: Confined, folder: Path) -> None:
    """The answer comes, names that recall is missing, and leaves the folder as it was."""
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    answer = confined("ask", QUESTION)
    assert (answer.code, answer.err) == (0, "")
    assert ANSWERED in answer.out
    assert "recall could not be read" in answer.out
    assert confined("db", "status").code == 0
    assert "nothing was changed" in confined("db", "upgrade").err
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.process
@pytest.mark.parametrize(
    "command",
    [
        ["ask", QUESTION],
        ["db", "upgrade"],
        *(pytest.param(["db", each], marks=pytest.mark.exhaustive) for each in ("status", "seed")),
    ],
)
def test_without_the_setting_one_line_names_it(command: list[str], confined: Confined) -> None:
    """Law 10: whichever command meets the read-only file first."""
    refused = confined(*command, read_only=False)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("arcpoint: cannot use the database sqlite:///")
    assert refused.err.endswith(HINT)
    assert refused.err.count("\n") == 1


@pytest.mark.process
def test_commits_in_a_log_beside_the_file_are_read_or_missed_aloud(confined: Confined, folder: Path) -> None:
    """With a live writer the answer holds them; a log that cannot be read is refused."""
    folder.chmod(0o755)
    (folder / "x.db").chmod(0o644)
    with closing(sqlite3.connect(folder / "x.db", isolation_level=None)) as writer:
        writer.execute("DELETE FROM notifications")
        (folder / "x.db").chmod(0o444)
        folder.chmod(0o555)
        assert "'notifications': 0" in str(confined("db", "status", "--json").out).replace('"', "'")
        folder.chmod(0o755)
        shutil.copyfile(folder / "x.db-wal", folder / "kept")
    shutil.move(folder / "kept", folder / "x.db-wal")
    folder.chmod(0o555)
    for command in (["ask", QUESTION], ["db", "status"]):
        refused = confined(*command)
        assert (refused.code, refused.out) == (1, "")
        assert "x.db-wal holds changes that SQLite cannot read without writing x.db-shm" in refused.err


@pytest.fixture
def story_database(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.clone(seed_story)
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    "rights",
    [
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; ALTER ROLE {role} SET {setting}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    ],
    ids=["like a standby", "select only"],
)
@pytest.mark.process
def test_a_role_that_cannot_write_is_asked_with_the_setting_only(
    rights: str,
    arcpoint: Run,
    postgres: PostgresServer,
    story_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL too: an answer with it; without it one line, before anything is read or paid for."""
    role, setting = f"reader_{story_database[-8:]}", "default_transaction_read_only = on"
    postgres.psql(f"CREATE ROLE {role} LOGIN")
    postgres.psql(f"\\c {story_database}\n{rights.format(role=role, setting=setting)}")
    url = postgres.url(story_database).replace("postgres:@", f"{role}@")
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", url)
    refused = arcpoint("ask", QUESTION)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.endswith(f"is read-only for this user; {HINT}")
    assert arcpoint("db", "status").code == 0
    monkeypatch.setenv("ARCPOINT_READ_ONLY", "true")
    answer = arcpoint("ask", QUESTION)
    assert (answer.code, answer.err) == (0, "")
    assert ANSWERED in answer.out
    postgres.psql(f"\\c {story_database}\nDROP OWNED BY {role}; DROP ROLE {role}")
