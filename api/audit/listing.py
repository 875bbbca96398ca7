"""Pages of the audit trail, the newest entries first."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from context_builder.text.wire import WIRE
from models import AuditEntry
from models.audit_chain import ENTRIES

DEFAULT_ENTRIES = 50
MAX_ENTRIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries."""

    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    action: str | None = None
    caller: str | None = None
    before: int | None = None
    """Only entries with smaller numbers."""
    limit: int = DEFAULT_ENTRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One entry of the audit trail."""

    __pydantic_config__ = WIRE

    sequence: int
    """From 1, without gaps."""
    at: datetime
    caller: str
    """`key:ci`, `person:ann@example.org`, `loopback`, or `local:ann` for a command or a program."""
    key_id: int | None
    """Of the caller's API key; None: it came without one."""
    action: str
    """`question`, `ingest`, `approve`, `reject`, `postmortem`, `route`, `login` and others."""
    subject: str
    """Id of what was acted on."""
    outcome: str
    """`done`, `refused` or `failed`."""
    detail: dict[str, Any]
    """Counts, digests and ids."""
    previous: str
    """Hash of the entry before; zeros for the first."""
    hash: str
    """SHA-256 over all of the above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """A part of the audit trail."""

    __pydantic_config__ = WIRE

    entries: tuple[AuditLine, ...]
    next: int | None
    """`before` of the next page; None: there are no more."""


async def audit_page(session: AsyncSession, wanted: AuditFilter) -> AuditPage:
    """Read a page."""
    row = AuditEntry
    wishes: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
        (wanted.since, row.at.__ge__),
        (wanted.until, row.at.__lt__),
        (wanted.action, row.action.__eq__),
        (wanted.caller, row.caller.__eq__),
        (wanted.before, row.sequence.__lt__),
    )
    query = ENTRIES.where(*(compared(value) for value, compared in wishes if value is not None))
    found = (await session.execute(query.order_by(row.sequence.desc()).limit(wanted.limit + 1))).all()
    lines = [AuditLine(**each._asdict() | {"detail": _detail(each.detail)}) for each in found]
    more = len(lines) > wanted.limit
    shown = lines[: wanted.limit]
    return AuditPage(entries=tuple(shown), next=shown[-1].sequence if more else None)


def _detail(text: str) -> dict[str, Any]:
    """Return the details of an entry; of one that was altered, what is there instead."""
    try:
        detail: dict[str, Any] = json.loads(text)
    except (ValueError, TypeError):
        return {"unreadable": str(text)[:200]}
    return detail
