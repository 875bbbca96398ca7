"""Whose diagnosis memory recalls: provenance, review, and what was known when."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from models import Incident, Postmortem, Provenance, ReviewStatus
from tests.support.incident_world import EPOCH, LATER, World, distinct, ids, incident

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY = timedelta(days=1)
TOLD = ("told cause", "told fix")


def postmortem(incident_id: int, **values: Any) -> Postmortem:
    given: dict[str, object] = {
        "incident_id": incident_id, "provenance": Provenance.MODEL, "markdown": "", "summary": "",
        "root_cause": "told cause", "resolution": "told fix", "created_at": EPOCH + DAY,
    }  # fmt: skip
    return Postmortem(**given | values)


async def _add(world: World, *rows: object) -> None:
    async with world.database.write() as session:
        session.add_all(rows)


@pytest.mark.parametrize(
    ("record", "review", "told", "expected"),
    [
        pytest.param(("a", "b"), "approved", None, ("a", "b", "human", "approved"), id="a record alone"),
        pytest.param(("a", "b"), "draft", None, ("a", "b", "human", "draft"), id="a record that is a draft"),
        pytest.param(("a", None), "approved", ("draft", "model"), ("a", None, "human", "approved"),
                     id="a draft says nothing where the record tells a cause"),
        pytest.param((None, None), "approved", ("draft", "model"), (*TOLD, "model", "draft"),
                     id="a draft fills in for an empty record, as a draft"),
        pytest.param(("a", "b"), "approved", ("approved", "model"), (*TOLD, "model", "approved"),
                     id="an approved postmortem goes before the record"),
        pytest.param(("a", "b"), "draft", ("approved", "human"), (*TOLD, "human", "draft"),
                     id="the incident itself is still a draft"),
        pytest.param((None, None), "approved", ("rejected", "model"), (None, None, "human", "approved"),
                     id="a rejected postmortem tells nothing"),
        pytest.param((None, None), "approved", ("draft", "code"), (None, None, "human", "approved"),
                     id="code only repeats the record"),
    ],
)  # fmt: skip
async def test_cause_and_fix_come_from_who_can_be_trusted_most(
    world: World,
    record: tuple[str | None, str | None],
    review: str,
    told: tuple[str, str] | None,
    expected: tuple[str | None, str | None, str, str],
) -> None:
    """An approved postmortem, then the record, then a draft; each with its author and its status."""
    cause, fix = record
    [number] = await world.add(incident(1, 0, root_cause=cause, resolution=fix, review=review))
    if told is not None:
        status, provenance = told
        await _add(
            world, postmortem(number, status=status, provenance=provenance, reviewed_at=EPOCH + 2 * DAY)
        )
    await world.memory().sync()
    [found] = (await world.recall(incident(1, 0).title)).recollections
    assert (found.root_cause, found.resolution, found.provenance, found.status) == expected


async def test_drafts_come_after_everything_approved(world: World) -> None:
    """However alike, a draft is listed below what somebody has approved."""
    title = "Connection pool exhausted in the router"
    draft, approved = await world.add(
        incident(1, 0, title=title, symptoms=title, root_cause=title, review=ReviewStatus.DRAFT),
        incident(2, 0, target="mistral/gcp", root_cause="something quite different, of which nobody spoke"),
    )
    await world.memory().sync()
    assert ids(await world.recall(title)) == [approved, draft]


async def test_a_rejected_incident_is_not_recalled_from_that_moment_on(world: World) -> None:
    """Before memory has taken it in, too; approving brings it back without embedding anything by hand."""
    [number] = await world.add(distinct(1))
    memory = world.memory()
    await memory.sync()
    await world.change(number, review=ReviewStatus.REJECTED)
    assert not (await world.recall(distinct(1).title)).recollections
    await memory.maintenance.process_outbox()
    assert (await memory.status()).entries == 0
    await world.change(number, review=ReviewStatus.APPROVED)
    await memory.maintenance.process_outbox()
    assert ids(await world.recall(distinct(1).title)) == [number]


@pytest.mark.both_databases
async def test_nothing_is_recalled_before_it_was_known(world: World) -> None:
    """Leak test: at any moment every incident recalled was over and every word of it was known by then."""
    chance = random.Random(11)  # noqa: S311  repeatable, not secret
    rows: list[Incident] = []
    for number in range(40):
        told = chance.random() < 0.5
        rows.append(
            incident(number * 20, number % 6, public_id=f"inc_{number}",
                     root_cause=None if told else f"recorded cause {number}",
                     resolution=None if told else "recorded fix")
        )  # fmt: skip
    numbers = await world.add(*rows)
    written: dict[int, Postmortem] = {}
    for number, row in zip(numbers, rows, strict=True):
        assert row.resolved_at is not None
        if chance.random() < 0.7:
            created = row.resolved_at + chance.random() * 20 * DAY
            approved = chance.random() < 0.6
            written[number] = postmortem(
                number, created_at=created, status="approved" if approved else "draft",
                reviewed_at=created + chance.random() * 20 * DAY if approved else None,
                edited_at=created + chance.random() * 5 * DAY if chance.random() < 0.3 else None,
            )  # fmt: skip
    await _add(world, *written.values())
    memory = world.memory()
    await memory.sync()
    seen_told = seen = 0
    for _ in range(25):
        as_of: datetime = EPOCH + chance.random() * 60 * DAY
        texts = [f"{row.title} {row.symptoms}" for row in chance.sample(rows, 3)] + ["told cause told fix"]
        recall = await world.recall(*texts, as_of=as_of, limit=20, memory=memory)
        for found in recall.recollections:
            seen += 1
            assert max(found.resolved_at, found.started_at, found.last_seen) < as_of
            if found.root_cause == "told cause":
                seen_told += 1
                source = written[found.incident_id]
                assert (source.edited_at or source.created_at) < as_of
                if found.status == ReviewStatus.APPROVED:
                    assert source.reviewed_at is not None
                    assert source.reviewed_at < as_of
    assert seen > 30
    assert seen_told > 5


@pytest.mark.both_databases
async def test_an_incident_found_by_record_and_postmortem_is_recalled_once(world: World) -> None:
    """Two texts of one incident are one recollection, counted once."""
    first, second = await world.add(incident(1, 0), incident(2, 0))
    await _add(
        world,
        postmortem(first, root_cause=SAME, status="approved", reviewed_at=EPOCH + 2 * DAY),
        postmortem(second, root_cause=SAME, status="approved", reviewed_at=EPOCH + 2 * DAY),
    )
    await world.memory().sync()
    recall = await world.recall(f"{incident(1, 0).title} {SAME}", as_of=LATER)
    assert [(each.recurrences, each.root_cause) for each in recall.recollections] == [(2, SAME)]


SAME = "pool capped at 50 connections after a rollout of the router"
