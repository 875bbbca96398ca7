"""`arcpoint spend`: what paid calls have cost, and the caps that bound them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.cli.options import AsJson, parse_usd
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from api.http.json_body import to_document
from api.services import open_database
from api.settings import Settings, load_settings
from context_builder.spend.accounts import ANY
from context_builder.spend.caps import (
    DEFAULT_DAYS,
    MAX_DAYS,
    AccountSpend,
    CapEntry,
    SpendReport,
    remove_cap,
    set_cap,
    spend_report,
)
from context_builder.spend.ledger import SpendLedger
from context_builder.text.formatting import format_count, format_dollars
from models import AccountKind

_ACCOUNT = "installation, user:ID, key:ID or team:ID, with * for each without a cap of its own"
_AMOUNT = "US dollars per day, such as 2.50; `none`: no limit; `default`: that of the kind again"
_MAX_ID = 100

app = typer.Typer(invoke_without_command=True)


def _account(value: str) -> tuple[AccountKind, str]:
    """Parse the account of a cap."""
    kind, _, subject = value.partition(":")
    is_named = kind in (AccountKind.USER, AccountKind.KEY, AccountKind.TEAM)
    if value != AccountKind.INSTALLATION and not (is_named and 0 < len(subject) <= _MAX_ID):
        raise typer.BadParameter(f"{value!s:.120} is no account; give {_ACCOUNT}")
    return AccountKind(kind), subject


def _zone(value: str | None) -> str | None:
    """Check the name of a time zone."""
    try:
        return None if value is None else ZoneInfo(value).key
    # The name becomes a path below the zone database: it can be a folder, or leave it.
    except (ValueError, OSError, KeyError):
        raise typer.BadParameter(
            f"{value!s:.60} is no time zone; give an IANA name such as Europe/Berlin"
        ) from None


@app.callback()
def spend(
    context: typer.Context,
    *,
    days: Annotated[
        int, typer.Option(min=1, max=MAX_DAYS, metavar="N", help="So many days, today included.")
    ] = DEFAULT_DAYS,
    as_json: AsJson = False,
) -> None:
    """Show what model calls have cost today, what is reserved for those in flight, and what is left."""
    if context.invoked_subcommand is None:
        report = asyncio.run(_report(load_settings(), days))
        if as_json:
            say_json(to_document(report))
        else:
            _show(report)


@app.command()
def cap(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help=f"{_ACCOUNT}.")],
    amount: Annotated[str, typer.Argument(metavar="USD", help=f"{_AMOUNT}.")],
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Whose midnight begins the day: Europe/Berlin. Else the installation's, else UTC.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set the most that an account may spend per day; it holds from the next call on, in every process."""
    kind, subject = _account(account)
    is_default, is_lifted = amount == "default", amount == "none"
    limit = None if is_default or is_lifted else parse_usd(amount)
    asyncio.run(_cap(load_settings(), kind, subject, limit, _zone(time_zone), is_default=is_default))
    state = "has no cap of its own" if is_default else f"may spend {_limit(limit)} per day"
    say(f"{account} {state}")


async def _report(settings: Settings, days: int) -> SpendReport:
    async with open_database(settings) as database:
        if not settings.read_only:
            await SpendLedger(database).sweep()
        async with database.read() as session:
            return await spend_report(session, days=days)


async def _cap(
    settings: Settings,
    kind: AccountKind,
    subject: str,
    limit: Decimal | None,
    time_zone: str | None,
    *,
    is_default: bool,
) -> None:
    async with open_database(settings) as database:
        if is_default:
            await remove_cap(database, kind, subject)
        else:
            await set_cap(database, kind, subject, limit, time_zone)


def _show(report: SpendReport) -> None:
    columns = ("account", "day", "spent", "reserved", "cap", "left", "calls")
    table = TextTable(title="Spent", rows=tuple(map(_row, report.accounts)), columns=columns)
    caps = TextTable(
        title="Caps per day", rows=tuple(map(_cap_row, report.caps)), columns=("account", "cap", "time zone")
    )
    if not report.accounts:
        say("nothing has been spent")
    for each in (table, caps):
        if each.rows:
            say("\n".join(plain_lines(each)))
    more = "; more accounts are not listed" if report.more else ""
    say(f"{format_count(report.in_flight, 'call')} in flight{more}")


def _row(entry: AccountSpend) -> tuple[str, ...]:
    left = "" if entry.left_usd is None else format_dollars(entry.left_usd)
    spent, reserved = format_dollars(entry.spent_usd), format_dollars(entry.reserved_usd)
    return (
        *(_name(entry), f"{entry.day} ({entry.time_zone})", spent, reserved),
        *(_limit(entry.limit_usd), left, f"{entry.calls:,}"),
    )


def _cap_row(entry: CapEntry) -> tuple[str, ...]:
    return _name(entry), _limit(entry.limit_usd), entry.time_zone


def _name(entry: AccountSpend | CapEntry) -> str:
    return f"each {entry.kind}" if entry.id == ANY else f"{entry.kind} {entry.id}".strip()


def _limit(limit: Decimal | None) -> str:
    return "no limit" if limit is None else format_dollars(limit)
