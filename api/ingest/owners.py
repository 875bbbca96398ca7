"""The users and deployments that requests belong to, created when they are first met."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from api.ingest.errors import LoadStopped, shown
from models import Deployment, User
from models.database import WriteSession
from models.tables.schema import UtcDateTime

REMEMBERED = 200_000
"""Owners kept in memory; beyond that the database is asked again."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """A user or a deployment as it is stored."""

    id: int
    created_at: datetime
    tier: str | None = None
    """Users only."""


@dataclass(slots=True)
class Resolved:
    """The owners of one batch, within the transaction that found or created them."""

    owners: dict[Key, Owner] = field(default_factory=dict)
    created: int = 0


class Owners:
    """One table of owners by name. An existing one is only ever changed to exist from earlier on."""

    def __init__(self, table: type[User | Deployment], *key: str) -> None:
        """`key` are the columns that name an owner; they are unique together."""
        self._table = table
        self._key = [getattr(table, name) for name in key]
        details = [User.tier] if table is User else []
        self._select = select(*self._key, table.id, table.created_at, *details)
        self._remembered: dict[Key, Owner] = {}

    async def resolve(self, session: WriteSession, wanted: Mapping[Key, dict[str, Any]]) -> Resolved:
        """Finds or creates owners; `wanted` holds, by key, all columns of a new one.

        Its `created_at` is when the owner was there at the latest. Call `remember` after the commit.
        """
        resolved = Resolved({key: self._remembered[key] for key in wanted if key in self._remembered})
        await self._find(session, [key for key in wanted if key not in resolved.owners], resolved)
        # In one order everywhere, so that two loads do not wait for each other's rows.
        absent = sorted(key for key in wanted if key not in resolved.owners)
        if absent:
            dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
            insert = dialect.insert(self._table).on_conflict_do_nothing().returning(self._table.id)
            resolved.created = len((await session.execute(insert, [wanted[key] for key in absent])).all())
            # Those that another writer has created meanwhile are found too.
            await self._find(session, absent, resolved)
        for key in absent:
            if key not in resolved.owners:
                name = shown(wanted[key]["public_id"])
                raise LoadStopped(f"{self._table.__tablename__}: {name} is stored under another name")
        await self._move_earlier(session, wanted, resolved)
        return resolved

    def remember(self, resolved: Resolved) -> None:
        """Keeps what a committed transaction has found or created."""
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
        self._remembered |= resolved.owners

    async def _find(self, session: WriteSession, keys: Collection[Key], resolved: Resolved) -> None:
        if not keys:
            return
        for row in await session.execute(self._select.where(tuple_(*self._key).in_(keys))):
            key, details = tuple(row[: len(self._key)]), row[len(self._key) :]
            resolved.owners[key] = Owner(*details)

    async def _move_earlier(
        self, session: WriteSession, wanted: Mapping[Key, dict[str, Any]], resolved: Resolved
    ) -> None:
        moved = {
            key: wanted[key]["created_at"]
            for key, owner in sorted(resolved.owners.items())
            if wanted[key]["created_at"] < owner.created_at
        }
        if not moved:
            return
        await session.execute(
            self._move_statement(),
            [{"owner": resolved.owners[key].id, "earlier": moment} for key, moment in moved.items()],
        )
        for key, moment in moved.items():
            resolved.owners[key] = replace(resolved.owners[key], created_at=moment)

    def _move_statement(self) -> Any:
        table = self._table.metadata.tables[self._table.__tablename__]
        earlier = bindparam("earlier", type_=UtcDateTime())
        values: dict[str, Any] = {"created_at": earlier}
        if self._table is User:
            # A user who was never changed has been as he is for as long as he exists.
            unchanged = table.c.updated_at == table.c.created_at
            values["updated_at"] = case((unchanged, earlier), else_=table.c.updated_at)
        return (
            update(table).where(table.c.id == bindparam("owner"), table.c.created_at > earlier).values(values)
        )
