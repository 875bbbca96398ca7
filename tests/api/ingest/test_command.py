"""The command `arcpoint ingest`: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.commands import app
from tests.support.command_line import program
from tests.support.patience import PATIENCE_S

WriteFile = Callable[..., Path]
Line = Callable[..., str]
Run = Callable[..., Result]


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in an empty folder on an empty database."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", sqlite_url)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["ingest", *map(str, arguments)])

    return invoke


def test_the_summary_says_what_happened_and_where_rejects_are(
    run: Run, write_log: WriteFile, request_line: Line, tmp_path: Path
) -> None:
    """Rows, rate, counts and reasons, in words and as JSON; rejects do not fail the command."""
    path = write_log(request_line(1), request_line(2, status="?"), request_line(3, status="!"))
    result = run("requests", path)
    assert result.exit_code == 0, result.stderr
    assert "3 rows read in " in result.stdout
    assert "1 added, 0 already present, 2 rejected" in result.stdout
    assert "deployments created: 1, users created: 1" in result.stdout
    assert "  2  status: unknown value" in result.stdout
    assert result.stderr == "", "no progress without a terminal"
    rejects = tmp_path / "log.rejects.jsonl"
    assert str(rejects) in result.stdout
    assert len(rejects.read_text(encoding="utf-8").splitlines()) == 2

    document = json.loads(run("requests", path, "--json", "--rejects", tmp_path / "other.jsonl").stdout)
    expected = {"rows": 3, "added": 0, "already_present": 1, "rejected": 2, "users_created": 0}
    assert document | expected == document
    assert document["reasons"] == {"status: unknown value": 2}
    assert document["rejects_file"] == str(tmp_path / "other.jsonl")


def test_incidents_are_loaded_with_settings(run: Run, write_file: WriteFile) -> None:
    """Flags alone are a mapping; an update is counted as one."""
    options = (
        "-s",
        "title=what",
        "-s",
        "severity.constant=high",
        "-s",
        "started_at=when",
        "-s",
        "file.zone=UTC",
    )
    path = write_file("id,what,when", "inc_1,Slow,2026-01-01 12:00:00")
    assert "1 added, 0 already present, 0 rejected" in run("incidents", path, *options).stdout
    path = write_file("id,what,when", "inc_1,Very slow,2026-01-01 12:00:00")
    assert "0 added, 1 updated, 0 already present" in run("incidents", path, *options).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("requests", "none.csv"), 1, "arcpoint: cannot read none.csv: No such file or directory\n"),
        (("requests", "log.csv", "--mapping", "none.toml"), 1, "arcpoint: cannot read the mapping none.toml"),
        (("requests", "log.csv", "-s", "user=whom"), 2, "no column 'whom'"),
        (("requests", "log.csv", "-s", "usr=whom"), 2, "did you mean 'user'"),
        (("requests", "log.csv", "--rejects", "no/x.jsonl"), 1, "cannot write the rejects file no/x.jsonl"),
        (("requests", "bad.csv"), 1, ""),
        (("requests", "empty.csv"), 1, "empty.csv: is empty"),
        (("requests",), 2, "Missing argument 'FILE'"),
        (("requests", "log.csv", "--colour"), 2, "No such option"),
    ],
)
def test_each_problem_is_one_line_with_its_exit_code(
    run: Run, write_log: WriteFile, write_file: WriteFile, request_line: Line,
    arguments: tuple[str, ...], code: int, problem: str,
) -> None:  # fmt: skip
    """Law 10: 1 where nothing could be loaded, 2 where the command or mapping is wrong; no traceback."""
    write_log(request_line(1))
    write_log(request_line(1, status="?"), name="bad.csv")
    write_file(name="empty.csv")
    result = run(*arguments)
    assert result.exit_code == code
    assert problem in result.stderr
    assert "Traceback" not in result.output
    if result.stderr.startswith("arcpoint: "):
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:///{folder}/none.db", "run `arcpoint db upgrade`"),
        ("postgresql://127.0.0.1:1/none", "cannot use the database"),
        ("mysql://x", "is not supported"),
    ],
)
def test_a_database_that_cannot_be_used_is_an_error(
    run: Run,
    write_log: WriteFile,
    request_line: Line,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    url: str,
    problem: str,
) -> None:
    """Missing, unreachable or of an unknown kind: one line that says what to do."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", url.format(folder=tmp_path))
    result = run("requests", write_log(request_line(1)))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert problem in result.stderr


@pytest.mark.process
def test_interrupting_says_what_is_stored_and_a_terminal_sees_progress(
    run: Run, sqlite_url: str, write_log: WriteFile, request_line: Line, repository: Path
) -> None:
    """Ctrl-C in a terminal ends with code 130; the same command again continues to the end."""
    path = write_log(*(request_line(number) for number in range(30_000)))
    terminal, far_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "ARCPOINT_DATABASE_URL": sqlite_url}
    child = subprocess.Popen(
        [*program(), "ingest", "requests", str(path)],
        stderr=far_end, stdout=subprocess.DEVNULL, env={**environment, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    os.close(far_end)
    output = ""
    while "2,000 rows" not in output:
        assert select.select([terminal], [], [], PATIENCE_S)[0], output
        output += os.read(terminal, 4096).decode()
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=PATIENCE_S) == 130
    while select.select([terminal], [], [], 0)[0]:
        try:
            output += os.read(terminal, 4096).decode()
        except OSError:  # the end of a closed terminal on Linux
            break
    os.close(terminal)
    assert "rows/s" in output
    assert f"rows of {path} are stored; the same command again continues" in output
    assert "Traceback" not in output

    document = json.loads(run("requests", path, "--json").stdout)
    assert document["already_present"] >= 2000
    assert document["added"] == 30_000 - document["already_present"] > 0
