"""The health of the pollers: what each target said last, and whether that is still true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from context_builder.telemetry.fleet import STALE_AFTER
from context_builder.text.wire import WIRE
from models import PollerKind, PollerState
from models.database import ReadSession

MAX_POLLERS = 500


class PollerHealth(StrEnum):
    """Whether what a poller says can be relied on."""

    OK = "ok"
    FAILING = "failing"
    """The last poll failed; what was said before is recent."""
    STALE = "stale"
    """No poll has succeeded for so long that nothing is known of now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerReport:
    """One target that is polled."""

    __pydantic_config__ = WIRE

    name: str
    kind: PollerKind
    about: str
    """Backend or deployment that the target tells of."""
    health: PollerHealth
    polled_at: datetime
    succeeded_at: datetime | None
    """None: no poll ever has."""
    next_at: datetime
    failures: int
    """Failed polls since the last one that succeeded."""
    error: str | None
    """Why the last poll failed; None if it did not."""
    summary: str | None
    """What the target said of itself when a poll last succeeded."""


async def poller_reports(
    session: ReadSession, as_of: datetime, kind: PollerKind | None = None
) -> list[PollerReport]:
    """Return every target, or those of one kind, by name."""
    statement = select(PollerState).order_by(PollerState.name).limit(MAX_POLLERS)
    if kind is not None:
        statement = statement.where(PollerState.kind == kind)
    rows = await session.scalars(statement)
    return sorted((_report(row, as_of) for row in rows), key=lambda report: report.name)


def _report(row: PollerState, as_of: datetime) -> PollerReport:
    succeeded = row.succeeded_at
    if succeeded is None or as_of - succeeded > STALE_AFTER:
        health = PollerHealth.STALE
    else:
        health = PollerHealth.FAILING if row.failures else PollerHealth.OK
    names = ("name", "about", "polled_at", "succeeded_at", "next_at", "failures", "error", "summary")
    values = {name: getattr(row, name) for name in names}
    return PollerReport(kind=PollerKind(row.kind), health=health, **values)
