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
OF_OTHER_COMMANDS = (
    "api.demo_data",
    "api.ingest",
    "api.archive",
    "api.cli.terminal.markdown",  # for a terminal
    "context_builder.postmortems",
    "markdown_it",  # for runbooks and terminals
    "memory.index.chroma",  # its searches are of the database
    "psutil",
)
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
    assert not {name for name in modules if name.startswith(OF_OTHER_COMMANDS)}


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "collects"), [(("ask", "What failed?"), False), (("db", "status"), True)]
)
def test_only_a_brief_command_leaves_its_garbage(
    start: Start, command: tuple[str, ...], *, collects: bool
) -> None:
    """`arcpoint ask` never looks for garbage, and no command does so at its exit."""
    code = (
        "import gc, sys; from api.cli import main; looked = []\n"
        "gc.callbacks.append(lambda phase, info: looked.append(phase))\n"
        "try:\n    main()\n"
        "finally:\n    print(bool(looked), gc.get_freeze_count() > len(gc.get_objects()), file=sys.stderr)"
    )
    ended = finished(start(*command, code=code, forked=False))
    assert ended.err.splitlines()[-1] == f"{collects} True"


@pytest.mark.process
def test_the_embedder_loads_while_the_services_are_imported(start: Start) -> None:
    """The longest step of a start begins before the modules that do not need it are imported."""
    code = (
        "import sys; from memory.embedding.hashing import HashingEmbedder as Embedder\n"
        "load, early = Embedder.load, []\n"
        "def noted(self):\n"
        "    early.append(not hasattr(sys.modules.get('api.services'), 'open_services'))\n"
        "    return load(self)\n"
        "Embedder.load = noted\n"
        "from api.cli.commands import run; run(sys.argv[1:]); print(early[0], file=sys.stderr)"
    )
    ended = finished(start("ask", "What failed?", "--local", code=code, forked=False))
    assert ended.err.splitlines()[-1] == "True"


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "banned"),
    [
        pytest.param(("ask", "--help"), {*NEVER_TO_ASK, "api.demo_data"}, marks=pytest.mark.exhaustive),
        pytest.param(
            ("memory", "--help"), {*OF_THE_MODEL, "chromadb", "anthropic"}, marks=pytest.mark.exhaustive
        ),
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
