"""Recognizes callers by their API key, in one indexed read per request.

Nothing is cached but that there are keys at all, which never changes back: a key that is revoked, in whatever
process, opens nothing from the commit on. Without the database nobody is recognized.
"""

from __future__ import annotations

import asyncio
import hmac
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, or_, select, update

from api.access.caller import Caller
from api.access.errors import Unauthenticated
from api.access.keys import digest, prefix_of
from api.access.rate_limit import RateLimits
from context_builder.text.clock import utc_now
from models import ApiKey, Role, User
from models.database import Database
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

_UNKNOWN = "this API key is unknown, revoked or expired; `arcpoint keys create` makes one"
_NOTED_EVERY = timedelta(hours=1)
_NOTING_S = 1.0
"""How long a request waits for `last_used_at` to be written."""


class KeyRing:
    """The keys of one database, as one process checks them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._limits = RateLimits()
        self._has_keys = False
        self._noted: dict[int, datetime] = {}

    async def caller_of(self, token: str) -> Caller:
        """Return who holds a key, and count the request.

        Raises:
            Unauthenticated: It is no key, or not any more.
            RateLimited: It has used up what it may ask for now.
            DatabaseError: The database cannot be read.
        """
        prefix, now = prefix_of(token), utc_now()
        row = None if prefix is None else await self._find(prefix)
        # Compared first and in constant time: the answer is the same for what never was a key.
        if row is None or not hmac.compare_digest(row.secret_sha256, digest(token)):
            raise Unauthenticated(_UNKNOWN)
        if row.user_id is not None and row.public_id is None:
            raise Unauthenticated(
                "the user whom this API key is bound to is no longer there; nothing can be shown"
            )
        if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise Unauthenticated(_UNKNOWN)
        if row.rate_per_minute is not None:
            self._limits.take(row.id, row.rate_per_minute)
        await self._note(row.id, row.last_used_at, now)
        return Caller(name=f"key:{row.name}", role=Role(row.role), user=row.public_id, key_id=row.id)

    async def has_keys(self) -> bool:
        """Return True if there is, or ever was, a key. Raises DatabaseError."""
        if not self._has_keys:
            self._has_keys = await has_keys(self._database)
        return self._has_keys

    async def _find(self, prefix: str) -> Row[*tuple[Any, ...]] | None:
        columns = (
            *(ApiKey.id, ApiKey.secret_sha256, ApiKey.name, ApiKey.role, ApiKey.expires_at),
            *(ApiKey.revoked_at, ApiKey.last_used_at, ApiKey.rate_per_minute, ApiKey.user_id, User.public_id),
        )
        statement = select(*columns).outerjoin(User, User.id == ApiKey.user_id).where(ApiKey.prefix == prefix)
        with self._database.connecting():
            async with self._database.read() as session:
                return (await session.execute(statement)).one_or_none()

    async def _note(self, key_id: int, stored: datetime | None, now: datetime) -> None:
        """Write when a key was last used, at most once an hour; a request never fails for it."""
        last = max((each for each in (stored, self._noted.get(key_id)) if each is not None), default=None)
        if self._database.read_only or (last is not None and now - last < _NOTED_EVERY):
            return
        self._noted[key_id] = now
        is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now)
        try:
            async with asyncio.timeout(_NOTING_S), self._database.write() as session:
                with self._database.connected():
                    await session.execute(
                        update(ApiKey).where(ApiKey.id == key_id, is_old).values(last_used_at=now)
                    )
        except (DatabaseError, TimeoutError) as error:
            log.warning("last use of a key not noted", key=key_id, reason=str(error))


async def has_keys(database: Database) -> bool:
    """Return True if there is, or ever was, a key. Raises DatabaseError."""
    with database.connecting():
        async with database.read() as session:
            return await session.scalar(select(ApiKey.id).limit(1)) is not None
