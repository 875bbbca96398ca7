"""Every command: how it is found, and what it says when it is used wrongly."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.commands import SUMMARIES, load
from tests.loopback.messages_api import API_KEY
from tests.support.command_line import PAST, Run, Start


@pytest.mark.process
def test_help_lists_every_command_and_loads_none(repository: Path) -> None:
    """`arcpoint --help` is quick, because it imports neither the database nor the model's SDK."""
    slow = ("sqlalchemy", "anthropic", "fastapi", "numpy", "pydantic", "structlog")
    code = (
        "import sys; from api.cli.commands import run; run(['--help']);"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    *help_lines, imported = shown.stdout.splitlines()
    assert imported == "[]"
    for name, summary in SUMMARIES.items():
        assert any(line.split() == [name, *summary.split()] for line in help_lines), name


@pytest.mark.parametrize("name", SUMMARIES)
def test_each_command_has_help(name: str, arcpoint: Run) -> None:
    """What is listed can be loaded and explains its options, in plain text."""
    assert load(name).name == name
    result = arcpoint(name, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: arcpoint {name} ")
    assert not set(result.out) & set("╭│╰\x1b")


def test_the_version_is_shown(arcpoint: Run) -> None:
    """--version names the program and its version."""
    assert arcpoint("--version").out.startswith("arcpoint 0.")


@pytest.mark.parametrize("arguments", [(), ("db",), ("memory",)])
def test_a_group_without_a_command_gives_its_help(arguments: tuple[str, ...], arcpoint: Run) -> None:
    """Nothing to do is wrong use, answered with what could be done."""
    result = arcpoint(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Commands:" in result.err


WRONG_USE = [
    (["asq", "x"], "No such command 'asq'. Did you mean 'ask'?"),
    (["ask", "x", "--budgt", "9"], "No such option: --budgt"),
    (["ask"], "Missing argument 'question'"),
    (["ask", ""], "the question is empty"),
    (["ask", " \n\t "], "the question is empty"),
    (["ask", "?!"], "the question contains no words"),
    (["ask", "red \x1b[31m alert"], "control character U+001B"),
    (["ask", "why " * 2000], "at most 4,000"),
    (["ask", "x", "--as-of", "yesterday"], "'yesterday' is not an ISO 8601 time; write for example"),
    (["ask", "x", "--as-of", "2026-11-20T08:00"], "has no time zone; write for example"),
    (["ask", "x", "--as-of", "0001-01-01T00:00+14:00"], "outside the years"),
    (["ask", "x", "--as-of", "2999-01-01T00:00Z"], "is in the future"),
    (
        ["ask", "x", "--since", PAST, "--until", PAST, "--as-of", PAST],
        "is empty; since must be at least a minute before",
    ),
    (["ask", "x", "--deployment", "gpt-4/asw"], "gpt-4/aws"),
    (["ask", "x", "--tier", "gold"], "premium"),
    (["ask", "x", "--incident", "inc_9999999"], "inc_9999999"),
    (["ask", "x", "--budget", "12"], "use 500 to 1,000,000"),
    (["ask", "x", "--budget", "500"], "cannot hold the fixed parts"),
    (["ask", "x", "--budget", "many"], "Invalid value for '--budget'"),
    (["chat", "--as-of", "noon"], "is not an ISO 8601 time"),
    (["db", "seed", "--anchor", "2026-11-20T08:00"], "has no time zone"),
    (["db", "seed", "--anchor", "0500-01-01T00:00Z"], "use one of the years"),
    (["db", "seed", "--seed", "1.5"], "Invalid value for '--seed'"),
    (["db", "seed", "--seed", "8"], "the database already holds data"),
    (["memory", "search", ""], "the question is empty"),
    (["memory", "search", "x", "--limit", "0"], "Invalid value for '--limit'"),
    (["memory", "search", "x", "--as-of", "2999-01-01T00:00Z"], "is in the future"),
    (["postmortem", "--concurrency", "0"], "Invalid value for '--concurrency'"),
    (["postmortem", "--since", "last week"], "is not an ISO 8601 time"),
    (["postmortem", "--incident", "inc_9999999"], "incident 'inc_9999999' is not known"),
    (["postmortem", "--incident", "inc_0119"], "incident 'inc_0119' is still active"),
    (["ingest", "requests", "log.csv", "--set", "nothing=x"], "requests have no field 'nothing'"),
    (["ask", "caf\udce9"], "argument 2 is not valid UTF-8 text"),
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    WRONG_USE,
    ids=[" ".join(case[0])[:40].encode("ascii", "replace").decode() for case in WRONG_USE],
)
def test_wrong_use_is_answered_with_one_line(arguments: list[str], said: str, arcpoint: Run) -> None:
    """Exit code 2, one line that says what would be accepted, and nothing on standard output."""
    result = arcpoint(*arguments)
    assert (result.code, result.out) == (2, "")
    assert_one_line(result.err, said)


def test_wrong_settings_are_answered_with_one_line(
    arcpoint: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable that cannot be used is named, whichever part reads it."""
    (tmp_path / "prices.toml").write_text("as_of = 'today'", "utf-8")
    for name, value, said in [
        ("ARCPOINT_TOKEN_BUDGET", "many", "ARCPOINT_TOKEN_BUDGET='many'"),
        ("ARCPOINT_PRICES_FILE", str(tmp_path / "prices.toml"), "prices.toml: as_of: expected the day"),
        ("ARCPOINT_PRICES_FILE", str(tmp_path / "none.toml"), "none.toml: cannot be read"),
        ("ARCPOINT_ANTHROPIC_BASE_URL", "somewhere", "must be like https://api.anthropic.com"),
    ]:
        with monkeypatch.context() as changed:
            changed.setenv("ARCPOINT_ANTHROPIC_API_KEY", API_KEY)
            changed.setenv(name, value)
            result = arcpoint("ask", "Which deployments are unhealthy?")
            assert (result.code, result.out) == (2, ""), name
            assert_one_line(result.err, said)
            assert API_KEY not in result.err


ABSENT = ("sqlite:///{folder}/absent.db", "run `arcpoint db upgrade`")


@pytest.mark.parametrize(
    ("command", "url", "said"),
    [
        *((command, *ABSENT) for command in ("chat", "db seed", "db status", "memory status", "memory sync")),
        *((command, *ABSENT) for command in ("ask x", "postmortem", "serve", "ingest requests log.csv")),
        ("ask x", "sqlite:///{folder}/broken.db", "cannot use the database"),
        ("ask x", "mysql://localhost/x", "'mysql' is not supported"),
        ("ask x", "nonsense", "not a database URL"),
        (
            "ask x",
            "postgresql://me:hidden@word@host/x",
            "not a database URL: 'postgresql:***@host/x'",
        ),
        ("ask x", "postgresql://me:hidden-word@127.0.0.1:9/none", "cannot use the database postgresql"),
        ("db upgrade", "postgresql://me:hidden-word@127.0.0.1:9/none", "cannot use the database postgresql"),
    ],
)
def test_a_database_that_cannot_be_used_is_answered_with_one_line(
    command: str, url: str, said: str, arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, one line without the password; an absent SQLite file is not created."""
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", url.format(folder=tmp_path))
    result = arcpoint(*command.split())
    assert result.code == 1
    if command == "db status":  # which is asked to say just that
        assert said in result.out
    else:
        assert result.out == ""
        assert_one_line(result.err, said)
    assert "hidden-word" not in result.err + result.out
    assert not (tmp_path / "absent.db").exists()


@pytest.mark.process
def test_a_folder_that_cannot_be_used_is_answered_with_one_line(arcpoint: Run, tmp_path: Path) -> None:
    """Where nothing can be written, nothing is begun."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "demo.db").touch()
    (tmp_path / "file").touch()
    cases: list[tuple[list[object], str]] = [
        (["ingest", "requests", tmp_path / "none.csv"], "none.csv: No such file or directory"),
        (["postmortem", "--out", tmp_path / "file"], "cannot write postmortems to"),
        (["demo", "--folder", tmp_path / "others"], "contains files that no demo created"),
        (["demo", "--folder", tmp_path / "file"], "File exists"),
        (["memory", "sync"], "memory folder"),
        (["memory", "search", "x"], "run `arcpoint memory rebuild`"),
    ]
    for arguments, said in cases:
        result = arcpoint(*arguments)
        assert (result.code, result.out) == (1, ""), arguments
        assert_one_line(result.err, said)


@pytest.mark.parametrize("arguments", [("ask", "x", "--why"), ("db", "status")], ids=["much", "little"])
def test_a_reader_that_leaves_ends_the_command_silently(
    arguments: tuple[str, ...], arcpoint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`arcpoint ask ... | head -1` says nothing about its broken pipe, sooner or later."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdout", output)
        result = arcpoint(*arguments)
    assert (result.code, result.err) == (141, "")


@pytest.mark.parametrize("arguments", [("ask", "x", "--why"), ("db", "status")], ids=["much", "little"])
def test_a_full_disk_is_named(
    arguments: tuple[str, ...], arcpoint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output that cannot be written is an error, not a success."""
    with Path("/dev/full").open("w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdout", output)
        result = arcpoint(*arguments)
    assert (result.code, result.err) == (1, "arcpoint: cannot write the output: No space left on device\n")


def test_closed_streams_are_no_error(arcpoint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that starts us without an output, or with one that lacks characters, gets an exit code."""
    monkeypatch.setattr(sys, "stdout", None)
    assert arcpoint("db", "status").code == 0
    sys.stdout.close()
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert arcpoint("ask", "x").code == 0
    assert " \\xb7 the whole gateway" in narrow.buffer.getvalue().decode()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("chat",), 0, ""),
        (("ask", "-"), 2, "the question is empty"),
        (("memory", "forget", "inc_0001"), 2, "nothing was forgotten; answer y, or use --yes"),
        (("db", "status"), 0, ""),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(
    arguments: tuple[str, ...], code: int, said: str, arcpoint: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`arcpoint ask - <&-`, as a service manager starts it, ends as at the end of a file."""
    monkeypatch.setattr(sys, "stdin", None)
    result = arcpoint(*arguments)
    assert (result.code, "Traceback" in result.err) == (code, False)
    assert said in result.err
    sys.stdin.close()


@pytest.mark.process
def test_no_file_takes_the_number_of_a_closed_stream(start: Start, tmp_path: Path) -> None:
    """Started with all three closed, a database must not become standard output."""
    watch = (
        "import os, sys; os.closerange(0, 3); sys.stdin = sys.stdout = sys.stderr = None; "
        "import atexit; from pathlib import Path; from api.cli import main; atexit.register("
        "lambda: Path('streams').write_text(repr([os.readlink(f'/proc/self/fd/{n}') for n in range(3)]))); "
        "main()"
    )
    assert start("db", "status", code=watch, stdin=subprocess.DEVNULL).wait(60) == 0
    assert (tmp_path / "streams").read_text() == repr(["/dev/null"] * 3)


def test_warnings_are_shown_on_request_only(arcpoint: Run) -> None:
    """Why a source failed is logged with -v, once; without it the answer alone says so."""
    quiet = arcpoint("ask", "Which deployments are unhealthy?")
    assert (quiet.code, quiet.err) == (0, "")
    verbose = arcpoint("-v", "ask", "Which deployments are unhealthy?")
    assert verbose.err.count("source failed") == 1


def assert_one_line(text: str, said: str) -> None:
    assert text.startswith("arcpoint: "), text
    assert text.count("\n") == 1, text
    assert said in text
    assert "Traceback" not in text
