"""Options that several commands share, and how moments are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

EXAMPLE = "2026-11-20T08:00Z"


def parse_moment(text: str) -> datetime:
    """A moment in ISO 8601 with its zone, in UTC. Raises ValueError saying what is accepted."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no ISO 8601 moment; write for example {EXAMPLE}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write for example {EXAMPLE} or 2026-11-20T09:00+01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from None


def moment_option(value: str | datetime) -> datetime:
    """The value of an option as a moment."""
    if isinstance(value, datetime):
        return value
    try:
        return parse_moment(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="ISO",
        parser=moment_option,
        help=f"A past moment to ask about instead of now, with its zone: {EXAMPLE}. Nothing later is read.",
        show_default=False,
    ),
]
Asker = Annotated[
    str | None,
    typer.Option("--user", metavar="ID", help="Public id of the user who asks.", show_default=False),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--budget", metavar="TOKENS", help="Bound of the whole prompt, in tokens.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
