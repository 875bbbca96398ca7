"""Reports errors of commands: one line and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.archive.errors import ArchiveError
from api.cli.terminal.streams import BROKEN_PIPE, print_error, silence_output
from api.demo_data import DemoDataError
from api.ingest.errors import IngestError, MappingError
from api.settings import SettingsError
from context_builder.llm.pricing import PriceFileError
from context_builder.postmortems.template import TemplateError
from context_builder.question.request import QuestionError
from memory.errors import MemoryUnavailable, UnknownIncident, UnknownIndex, UnusableReviewer
from models.errors import DatabaseError

EXIT_FAILURE = 1
BAD_INPUT = 2
INTERRUPTED = 130

_BAD_INPUT = (
    *(SettingsError, QuestionError, PriceFileError, TemplateError, DemoDataError, MappingError, ArchiveError),
    *(UnknownIncident, UnknownIndex, UnusableReviewer),
)
_FAILURE = (DatabaseError, MemoryUnavailable, IngestError, SQLAlchemyError, OSError)
USER_ERRORS = (*_BAD_INPUT, *_FAILURE)
"""Errors that a user can fix."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn errors that a user can fix into one line and their exit code."""
    try:
        yield
    except BrokenPipeError:
        silence_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except _BAD_INPUT as error:
        print_error(error_text(error))
        raise typer.Exit(BAD_INPUT) from None
    except _FAILURE as error:
        print_error(error_text(error))
        raise typer.Exit(EXIT_FAILURE) from None


def error_text(error: BaseException) -> str:
    """Return the message of an error in one line."""
    if isinstance(error, SQLAlchemyError):
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        return f"the database failed: {_first_line(cause)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
