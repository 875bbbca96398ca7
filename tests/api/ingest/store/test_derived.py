"""Transitions, rollouts and incidents follow from what came in; nobody has to send them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from api.ingest.records import AlertRecord, DeploymentRecord, HealthRecord, parse_record
from api.ingest.store import Outcome, store_records
from api.ingest.store.alerts import plan_incidents
from models import Deployment, Incident, Job, StateTransition
from models.database import Database

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def check(minute: int, status: str) -> HealthRecord:
    values = {"deployment": "gpt-4/aws", "checked_at": at(minute), "status": status, "error": f"at {minute}"}
    return parse_record(HealthRecord, values)


def version(minute: int, name: str) -> DeploymentRecord:
    values = {"deployment": "gpt-4/aws", "version": name, "reported_at": at(minute)}
    return parse_record(DeploymentRecord, values)


def alert(status: str, start: float, end: float | None = None) -> AlertRecord:
    values = {"alert": "am_f00", "status": status, "title": "Slow", "starts_at": at(start)}
    return parse_record(AlertRecord, values if end is None else values | {"ends_at": at(end)})


@pytest.mark.both_databases
async def test_transitions_are_where_the_status_differs_in_time_order(database: Database) -> None:
    """Equal checks make none, a late one makes none, and each begins with the status before."""
    batches = [
        [check(2, "healthy"), check(1, "healthy")],
        [check(4, "down"), check(3, "healthy")],
        [check(0, "down"), check(5, "down"), check(6, "degraded")],
        [check(6, "degraded")],
    ]
    for batch in batches:
        await store_records(database, HealthRecord, batch)
    async with database.write() as session:
        transitions = (await session.scalars(select(StateTransition).order_by(StateTransition.id))).all()
        deployment = (await session.scalars(select(Deployment))).one()
    assert [each.to_status for each in transitions] == ["healthy", "down", "degraded"]
    assert [each.changed_at for each in transitions] == [at(1), at(4), at(6)]
    assert all(before.to_status == after.from_status for before, after in pairwise(transitions))
    assert (deployment.status, deployment.status_since, deployment.updated_at) == ("degraded", at(6), at(6))
    assert deployment.status_reason == "at 6"


@pytest.mark.both_databases
async def test_a_new_version_is_a_rollout(database: Database) -> None:
    """The first version is none, nor is a repeated report, nor one that comes late."""
    for record in [version(0, "v1"), version(1, "v1"), version(5, "v2"), version(5, "v2"), version(1, "v1")]:
        await store_records(database, DeploymentRecord, [record])
    async with database.write() as session:
        job = (await session.scalars(select(Job))).one()
        deployment = (await session.scalars(select(Deployment))).one()
    assert (job.type, job.status, job.detail, job.target) == ("rollout", "succeeded", "v1 -> v2", "gpt-4/aws")
    assert (job.created_at, deployment.version) == (at(5), "v2")


OUTBREAKS: dict[str, tuple[Sequence[AlertRecord], list[tuple[float, float | None]]]] = {
    "it fires": ([alert("firing", 0)], [(0, None)]),
    "it is repeated": ([alert("firing", 0), alert("firing", 0)], [(0, None)]),
    "its start moves back": ([alert("firing", 5), alert("firing", 1)], [(1, None)]),
    "it is resolved": ([alert("firing", 0), alert("resolved", 0, 9)], [(0, 9)]),
    "it fires again": (
        [alert("firing", 0), alert("resolved", 0, 9), alert("firing", 12)],
        [(0, 9), (12, None)],
    ),
    "another node sends after the end": (
        [alert("firing", 0), alert("resolved", 0, 9), alert("firing", 0), alert("resolved", 0, 9)],
        [(0, 9)],
    ),
    "it never fired": ([alert("resolved", 0, 9)], [(0, 9)]),
    "the end is before the start": ([alert("firing", 3), alert("resolved", 3, 1)], [(3, 3)]),
    "it ends before it began, and is repeated": (
        [alert("firing", 0), alert("resolved", 1, 0), alert("resolved", 1, 0)],
        [(0, 1)],
    ),
    "the end of the last outbreak comes late": (
        [alert("firing", 0), alert("resolved", 0, 9), alert("firing", 12), alert("resolved", 0, 9)],
        [(0, 9), (12, None)],
    ),
}  # fmt: skip


@pytest.mark.both_databases
@pytest.mark.parametrize("story", OUTBREAKS)
async def test_an_outbreak_is_one_incident(database: Database, story: str) -> None:
    """Whatever is repeated or late, each outbreak of an alert is one incident with start and end."""
    records, expected = OUTBREAKS[story]
    for record in records:
        await store_records(database, AlertRecord, [record])
    async with database.write() as session:
        found = (await session.scalars(select(Incident).order_by(Incident.started_at))).all()
    ends = [None if end is None else at(end) for _, end in expected]
    assert [(each.started_at, each.resolved_at) for each in found] == [
        (at(start), end) for (start, _), end in zip(expected, ends, strict=True)
    ]
    assert all(each.public_id.startswith("am_f00_") for each in found)


@given(
    st.lists(
        st.builds(alert, st.sampled_from(["firing", "resolved"]), st.integers(0, 6), st.integers(0, 9)),
        max_size=8,
    )
)
def test_a_repeated_batch_changes_nothing(records: list[AlertRecord]) -> None:
    """Nothing that an alert did before is undone by sending its last report again; no incident ends early."""
    plan = plan_incidents(records, {})
    assert len(plan.outcomes) == len(records)
    for incident in plan.touched.values():
        assert incident["resolved_at"] is None or incident["resolved_at"] >= incident["started_at"]
    again = plan_incidents([*records, *records[-1:]], {})
    assert again.touched == plan.touched
    assert again.outcomes[len(records) :] == [Outcome.PRESENT] * len(records[-1:])
