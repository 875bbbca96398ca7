"""What code writes of an incident agrees with the rows, counted another way."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from context_builder.postmortems import impact as impact_module
from context_builder.postmortems import recorded_events
from context_builder.postmortems.affected import AffectedDeployments
from context_builder.postmortems.findings import IncidentFindings, load_findings
from context_builder.postmortems.impact import failed_requests, impact_lines, minutes_of
from models import Incident, Job
from models.database import Database
from tests.support.bounded_plans import planning
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway
from tests.support.ops_events import alert, audit, config, error, events_of, job, transition

STARTED = NOON - timedelta(hours=2, minutes=13, seconds=20)
ENDED = NOON - timedelta(minutes=7, seconds=5)
BEGINS = STARTED.replace(second=0)
ENDS = ENDED.replace(second=0) + MINUTE


@pytest.fixture
async def gateway(database: Database) -> Gateway:
    gateway = Gateway(database)
    await gateway.deployment("gpt-4/aws", "gpt-4/gcp", "mixtral/aws")
    for name, tier in (("user_a", "premium"), ("user_b", "standard"), ("user_c", "standard")):
        await gateway.user(name, tier)
    return gateway


async def findings(gateway: Gateway, **columns: Any) -> IncidentFindings:
    """Those of an incident that began at STARTED and was over at ENDED."""
    await gateway.incident("inc_1", started_at=STARTED, resolved_at=ENDED, **columns)
    async with gateway.database.read() as session:
        incident = (await session.scalars(select(Incident))).one()
        return await load_findings(session, incident, ENDED)


async def traffic(gateway: Gateway) -> None:
    """Requests at random in the incident, right at its edges, and in the days before."""
    chance = random.Random(5)  # noqa: S311  test data
    moments = [ENDED - (ENDED - STARTED) * chance.random() for _ in range(150)]
    moments += [STARTED - 6 * DAY * chance.random() for _ in range(150)]
    moments += [BEGINS, BEGINS - timedelta(microseconds=1), ENDS, ENDS - timedelta(microseconds=1)]
    sent = [
        gateway.request(
            moment,
            user=chance.choice(["user_a", "user_b", "user_c"]),
            deployment=chance.choice(["gpt-4/aws", "gpt-4/gcp", "mixtral/aws"]),
            status=chance.choice(["success", "error", "timeout", "rate_limited", "pending"]),
            cost_usd=Decimal(chance.randrange(1, 10**6)) / 10**9,
        )
        for moment in moments
    ]
    await gateway.append(sent)


@pytest.mark.parametrize(
    ("named", "hit"),
    [
        ({"deployment_id": 1, "target": "whatever"}, {"gpt-4/aws"}),
        ({"target": "gpt-4/gcp"}, {"gpt-4/gcp"}),
        ({"target": "gpt-4"}, {"gpt-4/aws", "gpt-4/gcp"}),
        ({"target": "aws"}, {"gpt-4/aws", "mixtral/aws"}),
    ],
)
async def test_impact_is_what_a_count_of_the_rows_gives(
    gateway: Gateway, named: dict[str, object], hit: set[str]
) -> None:
    """Requests, failures, users and money of what was hit, by tier, in whole minutes, and of before."""
    await traffic(gateway)
    if "deployment_id" in named:
        named["deployment_id"] = gateway.deployments["gpt-4/aws"]
    found = (await findings(gateway, **named)).impact
    assert set(found.affected.names) == hit
    ids = {gateway.deployments[name] for name in hit}
    inside = [each for each in gateway.sent if each.deployment_id in ids and BEGINS <= each.created_at < ENDS]
    failed = [each for each in inside if each.status in ("error", "timeout", "rate_limited")]
    assert (found.total.requests, found.total.failed) == (len(inside), len(failed))
    assert found.total.failed_cost == sum(each.cost_usd for each in failed)
    assert found.users == len({each.user_id for each in failed})
    for tier, traffic_of in found.by_tier.items():
        assert traffic_of.requests == sum(each.tier == tier for each in inside)
        assert traffic_of.failed == sum(each.tier == tier for each in failed)
    before_end = BEGINS.replace(minute=0)
    before = [
        each
        for each in gateway.sent
        if each.deployment_id in ids and before_end - 7 * DAY <= each.created_at < before_end
    ]
    assert found.total_before.requests == len(before)
    lines = "\n".join(impact_lines(found))
    assert f"- {len(inside):,} request" in lines
    assert f"{len(failed):,} of them failed" in lines


@pytest.mark.parametrize("target", [None, "router", "gone/aws", "%", "«"])
async def test_what_was_hit_is_not_guessed(gateway: Gateway, target: str | None) -> None:
    """Where the record names nothing that exists, no figures are given as if they were its."""
    await traffic(gateway)
    found = (await findings(gateway, target=target)).impact
    (line,) = impact_lines(found)
    assert line.startswith("- Not known: the record names no existing deployment, model or backend")
    assert not any(character.isdigit() for character in line)


async def test_an_incident_without_traffic_says_so(gateway: Gateway) -> None:
    """No request is not the same as no knowledge; nothing is divided by nothing."""
    lines = list(impact_lines((await findings(gateway, target="gpt-4/aws")).impact))
    assert lines[0].startswith("- No request reached gpt-4/aws in the 2 h 7 min from 2026-03-10 09:46")
    assert lines[1] == "- there are no records of the 7 days before to compare it with [impact.requests]"
    assert len(lines) == 2


async def test_users_are_counted_within_a_bound(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the number is called the least."""
    monkeypatch.setattr(impact_module, "MAX_FAILED_ROWS", 5)
    for user in ("user_a", "user_b", "user_c"):
        await gateway.send(*[STARTED + n * MINUTE for n in range(4)], user=user, status="error")
    found = (await findings(gateway, target="gpt-4/aws")).impact
    assert found.users_are_more
    assert any(line.startswith("- at least ") for line in impact_lines(found))


async def test_failed_requests_are_read_by_an_index(gateway: Gateway) -> None:
    """However long the request log is."""
    window = minutes_of(Incident(started_at=STARTED), ENDED)
    async with planning(gateway.database) as session:
        connection = await session.connection()
        sql = failed_requests(AffectedDeployments((1, 2)), window).compile(
            connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
        )
        explain = "EXPLAIN QUERY PLAN" if gateway.database.is_sqlite else "EXPLAIN"
        plan = [str(row) for row in await connection.execute(text(f"{explain} {sql}"))]
    steps = [step for step in plan if "requests" in step]
    assert steps
    assert all("index ix_requests_" in step.casefold() or "using ix_requests_" in step for step in steps), (
        plan
    )


async def test_events_of_what_was_hit_come_in_order_with_their_rows(gateway: Gateway) -> None:
    """Within half an hour before and the end; those of another deployment are left out."""
    number = gateway.deployments["gpt-4/aws"]
    other = gateway.deployments["mixtral/aws"]
    await gateway.add(
        *events_of("gpt-4/aws", number, STARTED + HOUR),
        *events_of("mixtral/aws", other, STARTED + HOUR),
        config("cfg_before", STARTED - 29 * MINUTE),
        config("cfg_early", STARTED - 31 * MINUTE),
        audit(at=ENDED),
        audit("key.rotate", ENDED + MINUTE),
        error("late", ENDED + MINUTE),
    )
    found = await findings(gateway, deployment_id=number)
    assert [event.kind for event in found.events.found] == [
        "config", "alert", "audit", "config", "job", "log", "state", "audit",
    ]  # fmt: skip
    assert [event.at for event in found.events.found] == sorted(event.at for event in found.events.found)
    assert "mixtral" not in " ".join(event.text for event in found.events.found)
    assert not found.events.cut
    async with gateway.database.read() as session:
        one_job = (await session.scalars(select(Job).where(Job.deployment_id == number))).one()
    assert f"jobs:{one_job.id}" in [event.ref for event in found.events.found]
    bad = {event.kind for event in found.events.found if event.is_bad}
    assert bad == {"log", "state"}, "the alert failed to get through"
    assert [event.ref.partition(":")[0] for event in found.changes] == ["config_changes", "config_changes"]


async def test_a_flood_of_events_is_bounded_and_reported(gateway: Gateway) -> None:
    """So many of each kind are read, however many there are, and the kinds that were cut are named."""
    number = gateway.deployments["gpt-4/aws"]
    about = {"deployment_id": number, "target": "gpt-4/aws"}
    await gateway.add(*(config(f"cfg_{n}", STARTED + n * MINUTE, **about) for n in range(30)))
    await gateway.add(*(job(f"job_{n}", created_at=STARTED + n * MINUTE, **about) for n in range(30)))
    await gateway.add(*(transition(number, at=STARTED + n * MINUTE) for n in range(30)))
    await gateway.add(*(alert(f"no {n}", STARTED + n * MINUTE, deployment_id=number) for n in range(30)))
    await gateway.add(*(error(f"no answer {n}", STARTED + n * MINUTE / 20, **about) for n in range(600)))
    found = await findings(gateway, deployment_id=number)
    assert set(found.events.cut) == {
        "configuration changes", "jobs", "state transitions", "notifications", "error log lines",
    }  # fmt: skip
    assert len(found.events.found) <= 5 * recorded_events.MAX_EVENTS_PER_KIND
    assert all(event.at <= STARTED for event in found.changes)
