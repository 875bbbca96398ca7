"""What the command line says when something cannot be done: one line, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.archive.errors import ArchiveError
from api.cli.terminal.streams import BROKEN_PIPE, print_error, silence_output
from api.demo_data import StoryError
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
    *(SettingsError, QuestionError, PriceFileError, TemplateError, StoryError, MappingError, ArchiveError),
    *(UnknownIncident, UnknownIndex, UnusableReviewer),
)
_TROUBLE = (DatabaseError, MemoryUnavailable, IngestError, SQLAlchemyError, OSError)
KNOWN = (*_BAD_INPUT, *_TROUBLE)
"""Errors that a user can mend."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns the errors that a user can mend into one line and the exit code that belongs to it."""
    try:
        yield
    except BrokenPipeError:
        silence_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except _BAD_INPUT as error:
        print_error(reason(error))
        raise typer.Exit(BAD_INPUT) from None
    except _TROUBLE as error:
        print_error(reason(error))
        raise typer.Exit(EXIT_FAILURE) from None


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, SQLAlchemyError):
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        return f"the database failed: {_first_line(cause)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
