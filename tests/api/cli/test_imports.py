"""What each command must not import: libraries that take seconds, and that it has no use for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from api.cli import failure
from tests.support.command_line import Start, finished

OF_THE_MODEL = {"torch", "transformers", "sentence_transformers", "sklearn"}
NEVER_TO_ASK = {
    *OF_THE_MODEL,
    "scipy",
    "ruptures",
    "chromadb",
    "alembic",
    "dateparser",
    "anthropic",
    "fastapi",
}
REPORT = (
    "import sys; from api.cli.commands import run; code = run(sys.argv[1:]);"
    "print(*sorted(name for name in sys.modules), file=sys.stderr); sys.exit(code)"
)


def imported(start: Start, *arguments: str) -> set[str]:
    """The modules that a command has imported at its end."""
    ended = finished(start(*arguments, code=REPORT, forked=False))
    assert ended.code == 0, ended.err
    return set(ended.err.splitlines()[-1].split())


@pytest.mark.process
def test_a_question_loads_only_what_answers_it(start: Start) -> None:
    """`arcpoint ask`, from the command line to the answer."""
    modules = imported(start, "ask", "Which deployments are unhealthy?")
    assert modules & {"sqlalchemy", "context_builder.answering"}
    assert not modules & NEVER_TO_ASK
    assert not {name for name in modules if name.startswith(("api.demo_data", "api.ingest", "api.archive"))}


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "banned"),
    [
        (("ask", "--help"), {*NEVER_TO_ASK, "api.demo_data"}),
        (("memory", "--help"), {*OF_THE_MODEL, "chromadb", "anthropic"}),
        (("db", "status"), {*OF_THE_MODEL, "chromadb", "anthropic", "fastapi", "scipy"}),
        (("serve", "--help"), {*OF_THE_MODEL, "chromadb", "anthropic", "scipy", "alembic"}),
    ],
)
def test_no_command_loads_the_libraries_of_another(
    start: Start, command: tuple[str, ...], banned: set[str]
) -> None:
    """Help and inspection need neither a model nor an index."""
    assert not imported(start, *command) & banned


@pytest.mark.process
def test_the_public_names_of_memory_are_imported_on_use() -> None:
    """`import memory` loads nothing, every name of `__all__` can be imported, and no other."""
    script = (
        "import sys, memory; print('sqlalchemy' in sys.modules, 'numpy' in sys.modules);"
        "[getattr(memory, name) for name in memory.__all__]; print(hasattr(memory, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_every_error_that_is_named_exists() -> None:
    """The errors of `failure` are named by text; each is an exception of that module."""
    for named in (failure._BAD_INPUT, failure._FAILURE):
        for module, names in named.items():
            for name in names:
                error = getattr(import_module(module), name)
                assert issubclass(error, Exception)
                assert error in failure.user_errors()
