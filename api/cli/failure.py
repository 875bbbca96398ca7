"""Reports errors of commands: one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import typer

from api.cli.terminal.streams import BROKEN_PIPE, print_error, silence_output

EXIT_FAILURE = 1
BAD_INPUT = 2
INTERRUPTED = 130

_BAD_INPUT = {
    "api.access.errors": ["KeyRefused"],
    "api.archive.errors": ["ArchiveError"],
    "api.audit.verification": ["BadAnchor"],
    "api.demo_data.generator": ["DemoDataError"],
    "api.ingest.errors": ["MappingError"],
    "api.settings": ["SettingsError"],
    "context_builder.llm.pricing": ["PriceFileError", "UnknownPrice"],
    "context_builder.postmortems.template": ["TemplateError"],
    "context_builder.question.request": ["QuestionError"],
    "context_builder.risk.chaos.arrivals": ["TraceUnusable"],
    "context_builder.risk.forecast.backtest": ["BacktestError"],
    "context_builder.risk.learning.training": ["TooLittleData"],
    "context_builder.risk.policy.arms": ["SwitchbackUnusable"],
    "memory.errors": ["UnknownIncident", "UnknownIndex", "UnusableReviewer"],
}
_FAILURE = {
    "api.cli.ask.service": ["ServiceRefuses"],
    "api.ingest.errors": ["IngestError"],
    "api.pollers.runner": ["NotLeading"],
    "builtins": ["OSError"],
    "context_builder.risk.learning.model_file": ["ModelFileError"],
    "context_builder.risk.learning.training": ["TrainingUnderWay"],
    "context_builder.llm.chat_model": ["ModelUnavailable"],
    "context_builder.spend.ledger": ["CapReached"],
    "memory.errors": ["MemoryUnavailable"],
    "models.errors": ["DatabaseError"],
    "sqlalchemy.exc": ["SQLAlchemyError"],
}
"""Classes of errors by module. Only those of imported modules can have been raised."""

Errors = tuple[type[BaseException], ...]


def user_errors() -> Errors:
    """Return the errors that a user can fix."""
    return (*_imported(_BAD_INPUT), *_imported(_FAILURE))


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn errors that a user can fix into one line and their exit code."""
    try:
        yield
    except BrokenPipeError:
        silence_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except _imported(_BAD_INPUT) as error:
        print_error(error_text(error))
        raise typer.Exit(BAD_INPUT) from None
    except _imported(_FAILURE) as error:
        print_error(error_text(error))
        raise typer.Exit(EXIT_FAILURE) from None


def error_text(error: BaseException) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, _imported({"sqlalchemy.exc": ["SQLAlchemyError"]})):
        return f"the database failed: {_first_line(getattr(error, 'orig', None) or error)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _imported(classes: Mapping[str, Sequence[str]]) -> Errors:
    return tuple(
        getattr(sys.modules[module], name)
        for module, names in classes.items()
        if module in sys.modules
        for name in names
    )
