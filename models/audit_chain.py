"""The chain of the audit trail: what an entry's hash covers, and how entries are appended.

Transactions append as their last step before the commit, so that the lock on the chain's end is held for as
long as a commit takes, and nobody who holds it waits for another lock.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from models.tables.product.audit_entries import AuditEntry, AuditOutcome

BEFORE_THE_FIRST = "0" * 64
_CHAIN_LOCK = 0x61756469
"""Key of PostgreSQL's advisory lock; SQLite has one writer at a time."""
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_COLUMNS = AuditEntry.__table__.columns

DetailValue = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the trail records it."""

    name: str
    key_id: int | None = None


@cache
def process_actor() -> Actor:
    """Return who acts where no caller was set: the user that runs this process."""
    try:
        return Actor(f"local:{getpass.getuser()}")
    except (KeyError, OSError, ImportError):
        return Actor(f"local:{os.getuid()}")


@dataclass(slots=True, eq=False)
class Act:
    """What one request or command does; shared by all tasks that take part."""

    actor_of: Callable[[], Actor] = process_actor
    """Asked when an entry is written: who acts is often known only after the work has begun."""
    is_recorded: bool = False
    """True once an entry of it is committed, or waits to be."""


_current: ContextVar[Act | None] = ContextVar("act", default=None)


@contextmanager
def acting(actor_of: Callable[[], Actor]) -> Iterator[Act]:
    """Let entries of the block, and of tasks that begin in it, name this actor."""
    act = Act(actor_of)
    token = _current.set(act)
    try:
        yield act
    finally:
        _current.reset(token)


def current_act() -> Act:
    """Return what is being done here."""
    return _current.get() or Act()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """What an entry is to say; it gets its place in the chain when it is appended."""

    action: str
    subject: str = ""
    outcome: AuditOutcome = AuditOutcome.DONE
    detail: Mapping[str, DetailValue] = field(default_factory=dict)
    """Ids, counts and digests; never text that somebody wrote."""
    act: Act = field(default_factory=current_act)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """One entry in its place."""

    sequence: int
    at: datetime
    caller: str
    key_id: int | None
    action: str
    subject: str
    outcome: str
    detail: str
    previous: str
    hash: str = ""

    def digest(self, sequence: int | None = None) -> str:
        """Return the hash that the entry must have, here or at another place of the chain."""
        content = (
            *(self.sequence if sequence is None else sequence, self.at.astimezone(UTC).isoformat()),
            *(self.caller, self.key_id, self.action, self.subject, self.outcome, self.detail, self.previous),
        )
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


ENTRIES = select(*_COLUMNS)
"""Rows whose columns are the fields of ChainedEntry."""


async def append(session: AsyncSession, records: Sequence[AuditRecord]) -> None:
    """Append entries to the chain, whose end stays locked until the transaction is over."""
    await session.flush()  # whatever else it locks, it locks before
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = select(_COLUMNS.sequence, _COLUMNS.hash).order_by(_COLUMNS.sequence.desc()).limit(1)
    sequence, previous = (await session.execute(last)).one_or_none() or (0, BEFORE_THE_FIRST)
    rows = []
    for number, record in enumerate(records, sequence + 1):
        entry = _entry(record, number, previous)
        previous = entry.hash
        rows.append(asdict(entry))
    await session.execute(insert(AuditEntry), rows)


def _entry(record: AuditRecord, sequence: int, previous: str) -> ChainedEntry:
    actor = record.act.actor_of()
    entry = ChainedEntry(
        sequence=sequence,
        at=record.at,
        caller=_storable(actor.name, 200),
        key_id=actor.key_id,
        action=_storable(record.action, 50),
        subject=_storable(record.subject, 200),
        outcome=record.outcome.value,
        detail=json.dumps(record.detail, separators=(",", ":"), sort_keys=True),
        previous=previous,
    )
    return replace(entry, hash=entry.digest())


def _storable(text: str, limit: int) -> str:
    """Cut a text, and replace what would break a line or what PostgreSQL does not store."""
    return _UNSTORABLE.sub("?", text)[:limit]
