"""Audit events: who did what, each action once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from context_builder.source import Status
from context_builder.sources import config as config_source
from context_builder.sources import jobs as jobs_source
from context_builder.sources.audit import MAX_EVENTS_READ, MAX_FACTS, source
from models import AuditEvent
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import audit, config, flood, job
from tests.support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECOND = timedelta(seconds=1)


async def test_what_is_alike_is_told_once(gateway: Gateway) -> None:
    """A fact shows actor, action, target, count and time; another detail is another fact."""
    await gateway.add(
        *(audit("key.list", NOON - n * HOUR, actor="cron") for n in range(1, 5)),
        audit("key.revoke", NOON - 30 * MINUTE, detail="leaked"),
        audit("key.revoke", NOON - 30 * MINUTE, detail="old"),
        audit("key.list", NOON),
    )
    section = await gateway.read(source)
    assert section.header == "6 audit events from 2026-03-09 12:00 to 2026-03-10 12:00"
    assert [fact.text for fact in section.facts] == [
        "kim did key.revoke on router at 2026-03-10 11:30: «old»",
        "kim did key.revoke on router at 2026-03-10 11:30: «leaked»",
        "cron did key.list on router 4 times between 2026-03-10 08:00 and 2026-03-10 11:00",
    ]
    assert section.facts[0].short == "kim did key.revoke on router at 2026-03-10 11:30"


@pytest.mark.parametrize(
    ("after", "target", "same"),
    [(0 * SECOND, "router", True), (20 * SECOND, "router", True), (-59 * SECOND, "router", True),
     (2 * MINUTE, "router", False), (0 * SECOND, "other", False)],
)  # fmt: skip
async def test_a_recorded_change_carries_its_key_and_comes_last(
    gateway: Gateway, after: timedelta, target: str, same: bool
) -> None:
    """An event carries the key of the change it records, even across a full minute, and comes last."""
    await gateway.add(
        config(at=NOON - HOUR + 50 * SECOND),
        audit("config.update", NOON - HOUR + 50 * SECOND + after, target=target),
        audit("key.revoke", NOON - 20 * HOUR),
    )
    (change,) = (await gateway.read(config_source.source)).facts
    facts = (await gateway.read(source)).facts
    (recorded,) = (fact for fact in facts if "config.update" in fact.text)
    assert (recorded.key == change.key) is same
    assert (facts[-1] is recorded) is same


async def test_a_recorded_job_carries_its_key(gateway: Gateway) -> None:
    """The creation of a job carries its key; later actions on it do not."""
    await gateway.add(job(), audit("rollout.start", NOON - HOUR + SECOND), audit("job.cancel", NOON - MINUTE))
    (started,) = (await gateway.read(jobs_source.source)).facts
    keys = {fact.text.split(" ")[2]: fact.key for fact in (await gateway.read(source)).facts}
    assert keys == {"rollout.start": started.key, "job.cancel": ""}


async def test_a_change_of_later_is_not_yet_recorded(gateway: Gateway) -> None:
    """Law 6: changes seconds after `as_of` do not affect the facts."""
    await gateway.add(audit("config.update", NOON - SECOND))
    moment = asking(NOON, until=NOON)
    before = await gateway.read(source, moment)
    await gateway.add(config(at=NOON + SECOND))
    assert await gateway.read(source, moment) == before
    assert before.facts[0].key == ""


async def test_a_flood_is_counted(gateway: Gateway) -> None:
    """Only the newest events are read, and facts are bounded."""
    await flood(
        gateway,
        AuditEvent,
        3_000,
        occurred_at=lambda n: NOON - HOUR - n * SECOND,
        actor=lambda n: f"user_{n}",
        action="config.update",
        target=lambda n: f"part_{n}",
    )
    section = await gateway.read(source)
    assert section.header.startswith("3,000 audit events")
    assert section.header.endswith(
        f"only the newest {MAX_EVENTS_READ} were read; {MAX_EVENTS_READ} distinct, {MAX_FACTS} listed"
    )
    assert section.facts[0].text.startswith("user_0 did")
    assert len(section.facts) == MAX_FACTS
    assert await rows_fetched(gateway, source) <= MAX_EVENTS_READ + 5


async def test_no_events_is_empty(gateway: Gateway) -> None:
    """Rows of the day before yesterday are too old."""
    await gateway.add(audit(at=NOON - DAY - SECOND))
    section = await gateway.read(source)
    assert section.status is Status.EMPTY
    assert section.header == "no audit events from 2026-03-09 12:00 to 2026-03-10 12:00"
