"""API keys as an administrator handles them: made, listed, revoked and replaced.

A key is 256 random bits behind a prefix. It is stored as a plain SHA-256: nobody can guess so many bits, and
a slow hash, which is for what people choose, would only make every request slow.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, text

from api.access.errors import KeyRefused
from context_builder.text.wire import WIRE
from models import ApiKey, Role, User
from models.audit_chain import AuditRecord
from models.database import ReadSession, WriteSession

MAX_NAME = 100
_NAME = re.compile(rf"[\w.:@ -]{{1,{MAX_NAME}}}")
_PREFIX = re.compile(r"(arc_[0-9a-f]{12})(?:_[\w-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """What a new key is to be."""

    name: str
    role: Role
    user: str | None = None
    """Public id of the only user whose data it shows."""
    expires_at: datetime | None = None
    rate_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """One key, without its secret."""

    __pydantic_config__ = WIRE

    prefix: str
    name: str
    role: Role
    user: str | None
    state: str
    """`active`, `expired` or `revoked`."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rate_per_minute: int | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, the only time that anyone sees it whole."""

    entry: KeyEntry
    secret: str


async def create_key(session: WriteSession, wanted: KeyRequest, *, now: datetime) -> NewKey:
    """Make a key, whose name no active key has, since names say in the audit trail who it was.

    Raises:
        KeyRefused: something about the wish is not accepted.
    """
    await _check_name_is_free(session, wanted.name, now)
    return await _make(session, wanted, now=now)


async def _check_name_is_free(session: WriteSession, name: str, now: datetime) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # Two at once would not see each other; SQLite has one writer anyway.
        await session.execute(text("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE"))
    is_active = and_(ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
    taken = await session.scalar(select(ApiKey.prefix).where(ApiKey.name == name, is_active).limit(1))
    if taken is not None:
        raise KeyRefused(
            f"the active key {taken} is called {name!r:.120} already; choose another name, or replace that "
            f"key with `arcpoint keys rotate {taken}`"
        )


async def _make(session: WriteSession, wanted: KeyRequest, *, now: datetime) -> NewKey:
    if not _NAME.fullmatch(wanted.name):
        raise KeyRefused(
            f"{wanted.name!r:.120} is no name; give a key up to {MAX_NAME} letters, digits, blanks and .:@_-"
        )
    if wanted.user is not None and wanted.role is not Role.VIEWER:
        raise KeyRefused(f"a key bound to a user only reads: give it the role viewer, not {wanted.role}")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise KeyRefused(f"{wanted.expires_at.isoformat()} is over; a key expires in the future")
    user_id = None
    if wanted.user is not None:
        user_id = await session.scalar(select(User.id).where(User.public_id == wanted.user))
        if user_id is None:
            raise KeyRefused(f"user {wanted.user!r:.120} is not known; a key is bound to a user by public id")
    prefix = f"arc_{secrets.token_hex(6)}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        prefix=prefix,
        secret_sha256=digest(secret),
        name=wanted.name,
        role=wanted.role,
        user_id=user_id,
        created_at=now,
        expires_at=wanted.expires_at,
        rate_per_minute=wanted.rate_per_minute,
    )
    session.add(key)
    await session.flush()
    detail = {"role": wanted.role.value, "user": wanted.user or ""}
    session.audited.append(AuditRecord(action="key.create", subject=prefix, detail=detail))
    return NewKey(_entry(key, wanted.user, now), secret)


async def list_keys(session: ReadSession, *, now: datetime) -> list[KeyEntry]:
    """Return all keys there ever were, newest first."""
    rows = await session.execute(
        select(ApiKey, User.public_id)
        .outerjoin(User, User.id == ApiKey.user_id)
        .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
    )
    return [_entry(key, user, now) for key, user in rows]


async def revoke_key(session: WriteSession, which: str, *, now: datetime) -> KeyEntry:
    """Revoke the key with a prefix: no request that begins after the commit is served. Raises KeyRefused."""
    key, user = await _active(session, which, now)
    key.revoked_at = now
    session.audited.append(AuditRecord(action="key.revoke", subject=key.prefix))
    return _entry(key, user, now)


async def rotate_key(session: WriteSession, which: str, *, grace: timedelta, now: datetime) -> NewKey:
    """Make a key with the rights of another, which ends after `grace`. Raises KeyRefused."""
    key, user = await _active(session, which, now)
    # With the same name: one follows the other.
    made = await _make(
        session,
        KeyRequest(
            name=key.name,
            role=Role(key.role),
            user=user,
            # It lives as long as the first one was to.
            expires_at=None if key.expires_at is None else now + (key.expires_at - key.created_at),
            rate_per_minute=key.rate_per_minute,
        ),
        now=now,
    )
    session.audited.append(
        AuditRecord(action="key.rotate", subject=key.prefix, detail={"grace_s": round(grace.total_seconds())})
    )
    if grace:
        key.expires_at = min(now + grace, key.expires_at or now + grace)
    else:
        key.revoked_at = now
    return made


def prefix_of(key: str) -> str | None:
    """Return the prefix of a key, whole or not; None if it is no key of ours."""
    found = _PREFIX.fullmatch(key)
    return None if found is None else found[1]


def digest(secret: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


async def _active(session: WriteSession, which: str, now: datetime) -> tuple[ApiKey, str | None]:
    """Return a key that still works, with its user. Raises KeyRefused."""
    row = (
        await session.execute(
            select(ApiKey, User.public_id)
            .outerjoin(User, User.id == ApiKey.user_id)
            .where(ApiKey.prefix == prefix_of(which))
        )
    ).one_or_none()
    if row is None:
        raise KeyRefused(
            f"no key begins with {which[:16]!r}; `arcpoint keys list` shows the beginning of each, as in "
            "arc_3f9a0c12b4de"
        )
    key, user = row
    if (state := _state(key, now)) != "active":
        raise KeyRefused(f"{key.prefix} ({key.name}) is {state} already")
    return key, user


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.expires_at is None or now < key.expires_at else "expired"


def _entry(key: ApiKey, user: str | None, now: datetime) -> KeyEntry:
    return KeyEntry(
        prefix=key.prefix,
        name=key.name,
        role=Role(key.role),
        user=user,
        state=_state(key, now),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        rate_per_minute=key.rate_per_minute,
    )
