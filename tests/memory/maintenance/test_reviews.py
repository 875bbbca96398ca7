"""Decisions of people: recorded for all incidents named or for none, and queued for memory once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from memory.errors import UnknownIncident, UnusableReviewer
from memory.maintenance.reviews import Review, approve, reject
from models import Incident, MemoryOutbox, Postmortem
from models.database import Database
from tests.support.incident_world import EPOCH, incident

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def add(database: Database, number: int, *, with_postmortem: bool = True, **columns: Any) -> int:
    async with database.write() as session:
        row = incident(number, **columns)
        session.add(row)
        await session.flush()
        if with_postmortem:
            session.add(
                Postmortem(
                    incident_id=row.id, provenance="model", markdown="# x", summary="", created_at=EPOCH
                )
            )
        return row.id


async def stored(database: Database, incident_id: int) -> tuple[Any, ...]:
    """Review of the incident; status, time and name of its postmortem's."""
    async with database.read() as session:
        review = (await session.get_one(Incident, incident_id)).review
        row = await session.scalar(select(Postmortem).where(Postmortem.incident_id == incident_id))
        return review, row and row.status, row and row.reviewed_at, row and row.reviewed_by


async def taken_from_outbox(database: Database) -> list[int | None]:
    """Return what is queued for memory, and empty the queue."""
    async with database.write() as session:
        queued = (await session.scalars(select(MemoryOutbox.incident_id))).all()
        await session.execute(delete(MemoryOutbox))
    return sorted(set(queued), key=str)


@pytest.mark.both_databases
async def test_a_decision_holds_for_incident_and_postmortem(database: Database) -> None:
    """With who decided when; the last decision counts."""
    both, alone = await add(database, 1), await add(database, 2, with_postmortem=False, review="draft")
    assert await approve(database, "inc_1", "inc_2", "inc_1", by="Ada", at=NOW) == (
        Review("inc_1", changed=True, has_postmortem=True),
        Review("inc_2", changed=True, has_postmortem=False),
    )
    assert await stored(database, both) == ("approved", "approved", NOW, "Ada")
    assert await stored(database, alone) == ("approved", None, None, None)
    await reject(database, "inc_1", by="Bob", at=LATER)
    assert await stored(database, both) == ("rejected", "rejected", LATER, "Bob")


async def test_the_same_decision_again_changes_nothing(database: Database) -> None:
    """Memory has nothing to take in, and who decided first stays on record."""
    number = await add(database, 1)
    await taken_from_outbox(database)
    await approve(database, "inc_1", by="Ada", at=NOW)
    assert await taken_from_outbox(database) == [number]
    (again,) = await approve(database, "inc_1", by="Bob", at=LATER)
    assert not again.changed
    assert await taken_from_outbox(database) == []
    assert await stored(database, number) == ("approved", "approved", NOW, "Ada")


async def test_a_postmortem_that_an_import_has_approved_can_be_approved_by_a_person(
    database: Database,
) -> None:
    """From then on it has a name."""
    number = await add(database, 1)
    async with database.write() as session:
        row = (await session.scalars(select(Postmortem))).one()
        row.status, row.provenance = "approved", "import"
    (review,) = await approve(database, "inc_1", by="Ada", at=NOW)
    assert review.changed
    assert await stored(database, number) == ("approved", "approved", NOW, "Ada")


@pytest.mark.parametrize("name", ["inc_11", "", "x" * 5000, "a\0b", "\ud800", "INC_1", "inc_1 "])
@pytest.mark.both_databases
async def test_an_unknown_incident_spoils_the_whole_decision(database: Database, name: str) -> None:
    """Nothing is changed, and the message names what is known, in one line."""
    number = await add(database, 1)
    with pytest.raises(UnknownIncident, match="known names include inc_1") as caught:
        await approve(database, "inc_1", name, by="Ada", at=NOW)
    assert len(str(caught.value).splitlines()) == 1
    assert await stored(database, number) == ("approved", "draft", None, None)


async def test_a_forgotten_incident_is_not_decided_about(database: Database) -> None:
    """Approving it must not bring it back."""
    await add(database, 1, with_postmortem=False, forgotten_at=NOW, review="rejected")
    with pytest.raises(UnknownIncident, match="was forgotten"):
        await approve(database, "inc_1", by="Ada", at=NOW)
    with pytest.raises(UnknownIncident, match="none is known yet"):
        await approve(database, "inc_2", by="Ada", at=NOW)


@pytest.mark.parametrize("by", ["", " ", "x" * 201, "a\0", "a\nb", "\ud800"])
async def test_a_reviewer_has_a_name(database: Database, by: str) -> None:
    """Plain text, so that it can be stored and shown."""
    await add(database, 1)
    with pytest.raises(UnusableReviewer, match="accepted are 1 to 200 characters"):
        await approve(database, "inc_1", by=by, at=NOW)


@pytest.mark.both_databases
async def test_decisions_at_the_same_time_are_each_whole(database: Database) -> None:
    """Whichever comes last, incident and postmortem agree, for all named."""
    numbers = [await add(database, number) for number in (1, 2, 3)]
    names = ["inc_1", "inc_2", "inc_3"]
    await asyncio.gather(
        *(
            decide(database, *order, by="Ada", at=NOW)
            for decide in (approve, reject)
            for order in (names, names[::-1])
        )
    )
    found = [await stored(database, number) for number in numbers]
    assert len({each[:2] for each in found}) == 1
    assert found[0][0] == found[0][1]
