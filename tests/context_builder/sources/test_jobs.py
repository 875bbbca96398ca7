"""Jobs as of the moment asked about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.source import Section, Status
from context_builder.sources.jobs import MAX_FACTS, source
from models import Job
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import flood, job
from tests.support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


def shorts(section: Section) -> list[str]:
    return [fact.short for fact in section.facts]


async def test_failed_and_running_come_first_with_all_that_is_known(gateway: Gateway) -> None:
    """A fact shows every column in one line."""
    await gateway.add(
        job("job_ok", status="succeeded", type="firmware_update", finished_at=NOON - 18 * MINUTE),
        job("job_runs", type="scale", detail="6 -> 4", started_at=NOON - 50 * MINUTE, created_by=None),
        job("job_bad", status="failed", error="image not found", finished_at=NOON - 58 * MINUTE),
        job("job_waits", status="queued", started_at=None),
        job("job_no", status="cancelled", started_at=None, finished_at=NOON - 30 * MINUTE),
    )
    section = await gateway.read(source)
    assert section.header == (
        "1 failed, 1 running, 1 succeeded, 1 queued, 1 cancelled "
        "among jobs from 2026-03-09 12:00 to 2026-03-10 12:00 and unfinished ones"
    )
    assert [fact.text for fact in section.facts] == [
        (
            "rollout job_bad on router FAILED: started 2026-03-10 11:00, took 2 min, by ci; "
            "detail: «v1 -> v2»; error: «image not found»"
        ),
        ("scale job_runs on router is RUNNING: started 2026-03-10 11:10, 50 min so far; detail: «6 -> 4»"),
        (
            "firmware update job_ok on router succeeded: started 2026-03-10 11:00, took 42 min, by ci; "
            "detail: «v1 -> v2»"
        ),
        (
            "rollout job_waits on router is queued: created 2026-03-10 11:00, not started, by ci; "
            "detail: «v1 -> v2»"
        ),
        (
            "rollout job_no on router was cancelled: created 2026-03-10 11:00, not started, "
            "ended 2026-03-10 11:30, by ci; detail: «v1 -> v2»"
        ),
    ]
    assert all(fact.kind == "jobs" and 0 < fact.importance <= 1 for fact in section.facts)
    assert section.facts[0].key == "job:job_bad"


@pytest.mark.parametrize(
    ("started", "finished", "state"),
    [
        (NOON + SECOND, NOON + MINUTE, "is queued"),
        (NOON, NOON + SECOND, "is RUNNING"),
        (NOON - SECOND, NOON, "FAILED"),
    ],
)
async def test_a_status_follows_from_its_times(
    gateway: Gateway, started: object, finished: object, state: str
) -> None:
    """Later status, error, start and duration are not shown."""
    await gateway.add(
        job(
            status="failed",
            created_at=NOON - HOUR,
            started_at=started,
            finished_at=finished,
            error="of later",
        )
    )
    (fact,) = (await gateway.read(source)).facts
    assert f" {state}: " in fact.text
    assert ("of later" in fact.text) is (state == "FAILED")


async def test_only_jobs_of_the_window_or_of_the_last_day_are_told(gateway: Gateway) -> None:
    """Jobs of the last day and unfinished ones are shown; later ones are not."""
    old = {"created_at": NOON - 9 * DAY, "started_at": NOON - 9 * DAY}
    await gateway.add(
        job("job_edge", status="succeeded", finished_at=NOON - DAY, **old),
        job("job_gone", status="succeeded", finished_at=NOON - DAY - SECOND, **old),
        job("job_stuck", **old),
        job("job_last", created_at=NOON - SECOND, started_at=NOON - SECOND),
        job("job_later", created_at=NOON, started_at=NOON),
    )
    past = asking(NOON + HOUR, since=NOON - HOUR, until=NOON)
    told = {fact.key for fact in (await gateway.read(source, past)).facts}
    assert told == {"job:job_edge", "job:job_stuck", "job:job_last"}


async def test_a_flood_is_counted_and_hides_no_failure(gateway: Gateway) -> None:
    """Few rows are fetched, and a failed job among thousands comes first."""
    await flood(
        gateway,
        Job,
        3_000,
        public_id=lambda n: f"job_{n}",
        type="scale",
        status="succeeded",
        target="router",
        detail="",
        created_at=NOON - HOUR,
        started_at=NOON - HOUR,
        finished_at=NOON - MINUTE,
    )
    await gateway.add(job("job_bad", status="failed", finished_at=NOON - 20 * HOUR,
                          created_at=NOON - 21 * HOUR, started_at=NOON - 21 * HOUR))  # fmt: skip
    section = await gateway.read(source)
    assert section.header.startswith("1 failed, 3,000 succeeded among jobs")
    assert section.header.endswith(f"the top {MAX_FACTS} are listed")
    assert "job_bad" in shorts(section)[0]
    assert len(section.facts) == MAX_FACTS
    assert await rows_fetched(gateway, source) <= MAX_FACTS + 10


async def test_no_jobs_is_empty(gateway: Gateway) -> None:
    """An empty table gives an empty section that says so."""
    section = await gateway.read(source)
    assert section.status is Status.EMPTY
    assert section.header == "no jobs from 2026-03-09 12:00 to 2026-03-10 12:00, none unfinished"
