"""The commands, each loaded on use, so that `arcpoint --help` is fast."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group
from typing_extensions import override

from api.cli.failure import exit_on_error
from api.cli.terminal.streams import flush_streams, invalid_argument, prepare_streams, print_error

USAGE_ERROR = 2

SUMMARIES = {
    "ask": "Ask one question about the gateway.",
    "chat": "Ask several questions interactively.",
    "demo": "Generate example data, ask about it and write a postmortem.",
    "serve": "Run the HTTP service.",
    "proxy": "Forward requests of Anthropic clients, and record them.",
    "ingest": "Load request logs and incidents from files.",
    "poll": "Ask status pages and model servers how they are.",
    "postmortem": "Write the postmortems of resolved incidents.",
    "keys": "Make, list, replace and revoke API keys.",
    "spend": "Show what model calls have cost, and set caps.",
    "memory": "Search and maintain incident memory.",
    "risk": "Forecast deployments, and test routing policies.",
    "audit": "Read and verify the audit trail.",
    "db": "Create, fill and inspect the database.",
    "doctor": "Check the installation, and say how to fix it.",
}
"""Help texts by command; each is a module here that defines `app` or a function of the same name."""

BRIEF = {"ask"}
"""Commands that are over before their garbage matters."""

MODULES = {
    "ask": "ask.ask",
    "audit": "access.audit",
    "chat": "ask.chat",
    "demo": "demo.command",
    "keys": "access.keys",
    "doctor": "doctor.command",
    "memory": "memory.commands",
    "poll": "poll.commands",
    "postmortem": "postmortem.postmortem",
    "proxy": "proxy.commands",
    "risk": "risk.commands",
}
"""Commands that have a folder of their own."""


def load(name: str) -> Any:
    """Load a command with all its options."""
    module = import_module(f"api.cli.{MODULES.get(name, name)}")
    home = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        home.add_typer(module.app, name=name, help=SUMMARIES[name])
    else:
        home.command(name)(getattr(module, name))
    return get_group(home).commands[name]


class LazyGroup(TyperGroup):
    """Lists every command with its summary and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, summary in SUMMARIES.items():
            self.add_command(TyperCommand(name, help=summary))

    @override
    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        command = None if name is None else load(name)
        if name not in BRIEF:
            gc.enable()
        return name, command, rest

    @override
    def invoke(self, ctx: Any) -> Any:
        with exit_on_error():
            return super().invoke(ctx)


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Configuration: variables such as ARCPOINT_DATABASE_URL and ARCPOINT_ANTHROPIC_API_KEY.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from api.version import version  # noqa: PLC0415  most commands do not need it

        typer.echo(f"arcpoint {version()}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def arcpoint(
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show warnings, such as why a source failed.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Answer questions about an LLM gateway with one model call each."""
    from api.cli.log_output import configure_logs  # noqa: PLC0415  not needed for --help

    configure_logs(verbose=verbose)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    prepare_streams()
    if fault := invalid_argument(arguments):
        print_error(fault)
        return USAGE_ERROR
    try:
        code = app(args=list(arguments), prog_name="arcpoint", standalone_mode=False)
    except TyperException as error:
        code = _refuse(error)
    except typer.Abort:
        print_error("not confirmed, nothing was done; --yes does not ask")
        code = 1
    return flush_streams(code if isinstance(code, int) else 0)


def _refuse(error: TyperException) -> int:
    """Report a wrong command line and return the exit code."""
    message = error.format_message()
    if "\n" in message:
        # A group without a command prints its help.
        sys.stderr.write(f"{message}\n")
        return error.exit_code
    path = getattr(getattr(error, "ctx", None), "command_path", "arcpoint")
    print_error(f"{message.rstrip('.')} (see `{path} --help`)")
    return error.exit_code
