"""API keys in the database: shown once, stored as a hash, revoked for everybody at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from api.access.caller import Caller, Role
from api.access.errors import KeyRefused, Unauthenticated
from api.access.key_ring import KeyRing
from api.access.keys import KeyRequest, create_key, list_keys, revoke_key, rotate_key
from context_builder.text.clock import utc_now
from models import ApiKey, User
from models.database import Database

NOW = utc_now()
HOUR = timedelta(hours=1)


@pytest.fixture
async def ring(database: Database) -> KeyRing:
    """One that has not seen a key yet, on a database with one user."""
    async with database.write() as session:
        session.add(User(public_id="user_a", tier="premium", created_at=NOW, updated_at=NOW))
    return KeyRing(database)


async def made(database: Database, **wanted: object) -> str:
    """A new key."""
    request = KeyRequest(**({"name": "ci", "role": Role.VIEWER} | wanted))  # type: ignore[arg-type]
    async with database.write() as session:
        return (await create_key(session, request, now=NOW)).secret


async def stored_text(database: Database) -> str:
    async with database.read() as session:
        return repr((await session.execute(text("SELECT * FROM api_keys"))).all())


@pytest.mark.both_databases
async def test_a_key_is_whoever_it_was_made_for(database: Database, ring: KeyRing) -> None:
    """Name, role and user come with it, its use is noted, and what is stored does not contain it."""
    assert not await ring.has_keys()
    secret = await made(database, user="user_a")
    assert await ring.caller_of(secret) == Caller(name="key:ci", role=Role.VIEWER, user="user_a", key_id=1)
    assert await ring.has_keys()
    assert secret.rpartition("_")[2] not in await stored_text(database)
    async with database.read() as session:
        (entry,) = await list_keys(session, now=NOW)
    assert (entry.prefix in secret, entry.user, entry.state) == (True, "user_a", "active")
    assert entry.last_used_at is not None


async def test_what_is_no_key_opens_nothing(database: Database, ring: KeyRing) -> None:
    """Not its prefix, not one that is cut, changed or lengthened, not its hash, and not nothing."""
    secret = await made(database)
    last = "A" if secret[-1] != "A" else "B"
    async with database.read() as session:
        stored = (await list_keys(session, now=NOW))[0]
    prefix = stored.prefix
    for wrong in (
        "",
        prefix,
        f"{prefix}_",
        secret[:-1],
        secret[:-1] + last,
        secret + "A",
        f" {secret}",
        "arc_ü",
    ):
        with pytest.raises(Unauthenticated, match="unknown, revoked or expired"):
            await ring.caller_of(wrong)


async def test_a_revoked_or_expired_key_opens_nothing_in_any_process(
    database: Database, ring: KeyRing
) -> None:
    """From the commit on, also where it was just used; a database that had keys never counts as without."""
    secret = await made(database)
    brief = await made(database, name="brief", expires_at=NOW + timedelta(milliseconds=1))
    other = KeyRing(database)
    assert await ring.caller_of(secret) == await other.caller_of(secret)
    async with database.write() as session:
        assert (await revoke_key(session, secret[:16], now=utc_now())).state == "revoked"
    for each in (ring, other, KeyRing(database)):
        with pytest.raises(Unauthenticated):
            await each.caller_of(secret)
        with pytest.raises(Unauthenticated):
            await each.caller_of(brief)
        assert await each.has_keys()


async def test_a_rotated_key_has_the_same_rights_and_the_old_one_its_grace(
    database: Database, ring: KeyRing
) -> None:
    """With a grace both work; without one the old one is over at once."""
    first = await made(database, user="user_a", rate_per_minute=9)
    async with database.write() as session:
        second = await rotate_key(session, first[:16], grace=HOUR, now=utc_now())
    async with database.write() as session:
        third = await rotate_key(session, second.secret, grace=timedelta(0), now=utc_now())
    assert (third.entry.user, third.entry.rate_per_minute) == ("user_a", 9)
    assert (await ring.caller_of(first)).user == (await ring.caller_of(third.secret)).user == "user_a"
    with pytest.raises(Unauthenticated):
        await ring.caller_of(second.secret)


@pytest.mark.both_databases
async def test_of_active_keys_only_one_has_a_name(database: Database, ring: KeyRing) -> None:
    """Also of two that are made at once; a name is free again when its last key is revoked or over."""
    told = await asyncio.gather(made(database), made(database), return_exceptions=True)
    (refused,) = (each for each in told if isinstance(each, KeyRefused))
    (first,) = (each for each in told if isinstance(each, str))
    assert f"the active key {first[:16]} is called 'ci' already" in str(refused)
    async with database.write() as session:
        second = await rotate_key(session, first[:16], grace=HOUR, now=NOW)
        await revoke_key(session, second.secret, now=NOW)
    with pytest.raises(KeyRefused, match=first[:16]):
        await made(database)
    async with database.write() as session:
        third = await create_key(session, KeyRequest(name="ci", role=Role.VIEWER), now=NOW + HOUR)
    assert (await ring.caller_of(third.secret)).name == "key:ci"


async def test_two_keys_that_share_a_name_from_before_both_work(database: Database, ring: KeyRing) -> None:
    """Databases of older releases may hold them; each can be replaced and revoked."""
    first, second = await made(database), await made(database, name="other")
    async with database.write() as session:
        (await session.get_one(ApiKey, 2)).name = "ci"
    assert {(await ring.caller_of(each)).name for each in (first, second)} == {"key:ci"}
    async with database.write() as session:
        await rotate_key(session, second[:16], grace=HOUR, now=utc_now())
        await revoke_key(session, first[:16], now=utc_now())
    assert (await ring.caller_of(second)).key_id == 2


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"name": ""}, "letters, digits"),
        ({"name": "a\nb"}, "letters, digits"),
        ({"user": "user_b"}, "user 'user_b' is not known"),
        ({"user": "user_a", "role": Role.OPERATOR}, "only reads"),
        ({"expires_at": NOW - HOUR}, "is over"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(
    database: Database, ring: KeyRing, wanted: dict[str, object], says: str
) -> None:
    """Law 10; nothing is stored."""
    with pytest.raises(KeyRefused, match=says):
        await made(database, **wanted)
    async with database.write() as session:
        with pytest.raises(KeyRefused, match="arcpoint keys list"):
            await revoke_key(session, "arc_000000000000", now=NOW)
    assert await stored_text(database) == "[]"


async def test_its_use_is_noted_once_an_hour_and_never_at_the_cost_of_a_request(
    database: Database, ring: KeyRing
) -> None:
    """Where nothing can be written a key opens all the same."""
    secret = await made(database)
    await ring.caller_of(secret)
    async with database.write() as session:
        key = await session.get_one(ApiKey, 1)
        noted, key.last_used_at = key.last_used_at, None
    await ring.caller_of(secret)
    assert noted is not None
    async with database.read() as session:
        assert (await session.get_one(ApiKey, 1)).last_used_at is None
    closed = Database(database.url.render_as_string(hide_password=False), read_only=True)
    assert (await KeyRing(closed).caller_of(secret)).name == "key:ci"
    await closed.close()
