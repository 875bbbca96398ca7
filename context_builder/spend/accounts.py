"""The accounts that a paid call is charged to, and what each may spend in its present period."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, type_coerce
from sqlalchemy import tuple_ as columns
from sqlalchemy.ext.asyncio import AsyncSession

from context_builder.question.request import Window
from context_builder.question.times.bounds import floor_to_minute
from context_builder.telemetry.user_spend import spend_in
from models import AccountKind, SpendCap, User, UserSpend
from models.tables.schema import Money

ANY = "*"
"""The subject of a cap of each account of its kind that has no cap of its own."""
UTC_NAME = "UTC"
_MINUTE = timedelta(minutes=1)

Caps = Mapping[tuple[str, str], SpendCap]
"""Caps by kind and subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Who a call is made for. The installation always pays as well."""

    user: str | None = None
    """Public id of the user who asks."""
    key: str | None = None
    """Id of the API key."""
    team: str | None = None
    run: str | None = None
    """Unique id of one run of a command, which has a cap of its own."""
    run_limit_usd: Decimal | None = None
    """The most that the run may spend; None: only the other caps hold."""
    spend_is_logged: bool = False
    """True for a request of the gateway itself: what it costs reaches the user's spend by the request log."""

    def after(self, in_progress: Decimal) -> Payer:
        """Return the payer whose run may spend less by what is in progress already, in US dollars."""
        limit = self.run_limit_usd
        return self if limit is None else replace(self, run_limit_usd=limit - in_progress)

    def subjects(self) -> dict[AccountKind, str]:
        """Return the subject of each account, in the order in which they are locked."""
        named = {kind: getattr(self, kind, "") for kind in sorted(AccountKind)}
        return {
            kind: subject or ""
            for kind, subject in named.items()
            if subject or kind is AccountKind.INSTALLATION
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account in its present period."""

    kind: AccountKind
    subject: str
    period: str
    """Its day; empty for the whole life of a run."""
    time_zone: str
    limit_usd: Decimal | None
    """What it may spend in the period, negative if that is spent elsewhere already; None: no limit."""
    is_charged: bool = True
    """False: what is reserved counts, but not what it costs, which the limit will be less by."""

    def __str__(self) -> str:
        common = {AccountKind.RUN: "this run", AccountKind.INSTALLATION: "the installation"}
        return common.get(self.kind, f"{self.kind} {self.subject}")


async def accounts_of(session: AsyncSession, payer: Payer, now: datetime) -> list[Account]:
    """Return the accounts of a payer in the order in which their balances are locked."""
    subjects = payer.subjects()
    caps = await _caps(session, subjects)
    accounts = []
    for kind, subject in subjects.items():
        cap = cap_of(caps, kind, subject)
        limit = None if cap is None else cap.limit_usd
        is_charged = True
        zone = zone_of(caps, kind, subject)
        if kind is AccountKind.USER and cap is None:
            limit = await _budget_left(session, subject, now)
            zone = zone if limit is None else UTC_NAME
            is_charged = limit is None or not payer.spend_is_logged
        is_run = kind is AccountKind.RUN
        accounts.append(
            Account(
                kind=kind,
                subject=subject,
                period="" if is_run else await day_of(now, zone),
                time_zone=zone,
                limit_usd=payer.run_limit_usd if is_run else limit,
                is_charged=is_charged,
            )
        )
    return accounts


def cap_of(caps: Caps, kind: str, subject: str) -> SpendCap | None:
    """Return the cap of an account: its own, else the one of its kind."""
    return caps.get((kind, subject)) or caps.get((kind, ANY))


def zone_of(caps: Caps, kind: str, subject: str) -> str:
    """Return the time zone of an account's day: that of its cap, else the installation's, else UTC."""
    cap = cap_of(caps, kind, subject) or caps.get((AccountKind.INSTALLATION, ""))
    return UTC_NAME if cap is None else cap.time_zone


async def day_of(now: datetime, zone: str) -> str:
    """Return the day at a moment in a time zone, whose file is read off the loop."""
    place = UTC if zone == UTC_NAME else await asyncio.to_thread(ZoneInfo, zone)
    return now.astimezone(place).date().isoformat()


async def _caps(session: AsyncSession, subjects: Mapping[AccountKind, str]) -> Caps:
    wanted = [(kind, subject) for kind, own in subjects.items() for subject in (own, ANY)]
    found = await session.scalars(
        select(SpendCap).where(columns(SpendCap.kind, SpendCap.subject).in_(wanted))
    )
    return {(cap.kind, cap.subject): cap for cap in found}


async def _budget_left(session: AsyncSession, user: str, now: datetime) -> Decimal | None:
    """Return what the gateway has left of a user's daily budget, which is one of a UTC day; None: no budget.

    What it spends while a question is answered is not known here; it enforces the budget itself.
    """
    budget = select(User.id, User.daily_budget_usd).where(User.public_id == user)
    found = (await session.execute(budget.where(User.daily_budget_usd.is_not(None)))).one_or_none()
    if found is None:
        return None
    today = Window(now.replace(hour=0, minute=0, second=0, microsecond=0), floor_to_minute(now) + _MINUTE)
    spent = spend_in(session, today, UserSpend.user_id == found.id)
    dollars = await session.scalar(select(type_coerce(func.sum(spent.c.nano), Money)).select_from(spent))
    return Decimal(found.daily_budget_usd - (dollars or 0))
