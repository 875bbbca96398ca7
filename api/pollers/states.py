"""What is known of each target, kept in the database so that another process can go on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from models import PollerState
from models.database import Database

MAX_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The columns of a target's state that polls change."""

    polled_at: datetime
    succeeded_at: datetime | None = None
    next_at: datetime
    failures: int = 0
    error: str | None = None
    summary: str | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    def succeeded(self, memory: dict[str, Any], summary: str | None) -> Known:
        """Return the state after a poll that brought something."""
        return replace(
            self,
            succeeded_at=self.polled_at,
            failures=0,
            error=None,
            memory=memory,
            summary=summary or self.summary,
        )

    def failed(self, error: str, memory: dict[str, Any]) -> Known:
        """Return the state after a poll that failed."""
        return replace(self, failures=self.failures + 1, error=error[:MAX_ERROR], memory=memory)


async def load_states(database: Database, names: Collection[str]) -> dict[str, Known]:
    """Return the states of targets by name; those of targets that are not polled any more are removed."""
    async with database.write() as session:
        await session.execute(delete(PollerState).where(PollerState.name.not_in(names)))
        rows = await session.scalars(select(PollerState))
        columns = Known.__dataclass_fields__
        return {row.name: Known(**{name: getattr(row, name) for name in columns}) for row in rows}


async def store_state(database: Database, identity: dict[str, str], known: Known) -> None:
    """Store the state of a target; `identity` is its name, kind and subject."""
    async with database.write() as session:
        row = await session.scalar(select(PollerState).where(PollerState.name == identity["name"]))
        if row is None:
            session.add(PollerState(**identity, **asdict(known)))
            return
        for name, value in asdict(known).items():
            setattr(row, name, value)
