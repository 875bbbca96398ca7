"""Users with their tier and budget are added or brought up to date."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from api.ingest.records import UserRecord
from api.ingest.store.events import lock_table
from api.ingest.store.references import in_parts
from api.ingest.store.result import Outcome, StoreResult
from models import User
from models.database import WriteSession

_STATED = ("tier", "daily_budget_usd", "name", "role")


async def store_users(session: WriteSession, records: Sequence[UserRecord]) -> StoreResult:
    """Add users or bring them up to date; a record that is older than what is known changes nothing.

    What a record leaves out stays.
    """
    await lock_table(session, User)
    users: dict[str, User] = {}
    for part in in_parts(record.user for record in records):
        found = await session.scalars(select(User).where(User.public_id.in_(part)))
        users |= {each.public_id: each for each in found}
    outcomes, added = [], 0
    for record in records:
        user = users.get(record.user)
        stated = {name: getattr(record, name) for name in _STATED if name in record.model_fields_set}
        if user is None:
            moment = record.updated_at
            users[record.user] = User(public_id=record.user, **stated, created_at=moment, updated_at=moment)
            session.add(users[record.user])
            added += 1
            outcomes.append(Outcome.ADDED)
            continue
        is_new = any(value != getattr(user, name) for name, value in stated.items())
        if not is_new or record.updated_at < user.updated_at:
            outcomes.append(Outcome.PRESENT)
            continue
        for name, value in stated.items():
            setattr(user, name, value)
        user.updated_at = record.updated_at
        outcomes.append(Outcome.UPDATED)
    return StoreResult(outcomes=outcomes, users_created=added)
