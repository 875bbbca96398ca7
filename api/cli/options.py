"""Options shared by several commands, and the parser of their times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from api.settings import Settings, checked_service_url, load_settings

EXAMPLE_TIME = "2026-11-20T08:00Z"
_MAX_USD = 1_000_000


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time with a time zone, to UTC. Raises ValueError, which says what is accepted."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 time; write for example {EXAMPLE_TIME}") from None
    if moment.tzinfo is None:
        raise ValueError(
            f"{text!r} has no time zone; write for example {EXAMPLE_TIME} or 2026-11-20T09:00+01:00"
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from None


def parse_time_option(value: str | datetime) -> datetime:
    """Parse the value of an option as a time."""
    if isinstance(value, datetime):
        return value
    try:
        return parse_time(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def parse_age(value: str) -> str:
    """Check the value of an option that is whole days."""
    if not re.fullmatch(r"[1-9]\d{0,3}d", value):
        raise typer.BadParameter(f"{value!s:.20} is no age; give whole days from 1d to 9999d, such as 30d")
    return value


def parse_usd(value: str | Decimal) -> Decimal:
    """Parse the value of an option or argument as US dollars."""
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= _MAX_USD:
        raise typer.BadParameter(
            f"{value!s:.40} is not an amount; give US dollars from 0 to 1000000, such as 2.50"
        )
    return amount


def settings_for(service: str | None) -> Settings:
    """Return the settings, with the service of an option. Raises SettingsError."""
    try:
        given = {} if service is None else {"service_url": checked_service_url(service)}
    except ValueError as error:
        raise typer.BadParameter(f"--service: {error}") from None
    return load_settings().model_copy(update=given)


AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="ISO",
        parser=parse_time_option,
        help=f"Answer as of this time instead of now: {EXAMPLE_TIME}. Later data is not read.",
        show_default=False,
    ),
]
AskedBy = Annotated[
    str | None,
    typer.Option("--user", metavar="ID", help="Public id of the user who asks.", show_default=False),
]
AsUser = Annotated[
    str | None,
    typer.Option(
        "--as-user",
        metavar="ID",
        help="Show only what this user may see: their own requests and budget, and the state of the gateway. "
        "Answers without a service.",
        show_default=False,
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--budget", metavar="TOKENS", help="Maximum tokens of the whole prompt.", show_default=False
    ),
]
ServiceUrl = Annotated[
    str | None,
    typer.Option(
        "--service",
        metavar="URL",
        help="Ask the service at this address; overrides ARCPOINT_SERVICE_URL.",
        show_default=False,
    ),
]
Local = Annotated[bool, typer.Option("--local", help="Answer in this process, also beside a service.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
