"""What the story claims, read back from its rows: the answers that the three demo questions must find."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from statistics import fmean
from typing import Any, cast

import pytest
from sqlalchemy import Row, select

from models import Deployment, Incident, QualityScore, Request, RequestRollup, Resolution, User, UserSpend
from models.database import Database
from models.histogram import Histogram
from models.snapshot import Snapshots
from tests.support.prepared_databases import STORY_ANCHOR as ANCHOR
from tests.support.prepared_databases import PostgresServer, seed_story

pytestmark = pytest.mark.database  # `week` asks for its server or template only when it runs

ROUTER_CHANGE = ANCHOR - timedelta(days=3, hours=12)
FAILED = ("error", "timeout", "rate_limited")


@dataclass(frozen=True)
class Week:
    """All rows of one seeded database."""

    requests: Sequence[Row[Any]]
    deployments: Sequence[Deployment]
    users: Sequence[User]
    incidents: Sequence[Incident]
    rollups: Sequence[RequestRollup]
    spend: Sequence[UserSpend]

    def of(self, condition: Callable[[Row[Any]], bool]) -> list[Row[Any]]:
        return [row for row in self.requests if condition(row)]

    def incident(self, target: str, status: str) -> Incident:
        """The newest one."""
        found = [row for row in self.incidents if (row.target, row.status) == (target, status)]
        return max(found, key=lambda row: row.started_at)


async def _read(url: str) -> Week:
    database = Database(url)
    requests = (
        select(
            *Request.__table__.columns,
            User.public_id.label("user"),
            User.tier,
            Deployment.public_id.label("deployment"),
            QualityScore.score,
            QualityScore.scored_at,
        )
        .join(User, User.id == Request.user_id)
        .join(Deployment, Deployment.id == Request.deployment_id)
        .outerjoin(QualityScore, QualityScore.request_id == Request.id)
        .order_by(Request.created_at, Request.public_id)
    )
    async with Snapshots(database, readers=1).open() as snapshot, snapshot.session() as session:
        week = Week(
            cast("list[Row[Any]]", (await session.execute(requests)).all()),
            (await session.scalars(select(Deployment))).all(),
            (await session.scalars(select(User))).all(),
            (await session.scalars(select(Incident).order_by(Incident.started_at))).all(),
            (await session.scalars(select(RequestRollup))).all(),
            (await session.scalars(select(UserSpend))).all(),
        )
    await database.close()
    return week


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def week(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("claims") / "story.db"
        shutil.copyfile(request.getfixturevalue("sqlite_story_template"), path)
        yield asyncio.run(_read(f"sqlite:///{path}"))
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    name = postgres.clone(seed_story)
    yield asyncio.run(_read(postgres.url(name)))
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


def quantile(rows: Sequence[Row[Any]], fraction: float) -> int:
    latencies: list[int] = sorted(row.latency_ms for row in rows if row.latency_ms is not None)
    return latencies[int(fraction * (len(latencies) - 1))]


def moved(rows: Sequence[Row[Any]], fraction: float) -> float:
    """Latency after the router change over latency before it."""
    before = [row for row in rows if row.created_at < ROUTER_CHANGE]
    after = [row for row in rows if row.created_at >= ROUTER_CHANGE]
    assert min(len(before), len(after)) > 30
    return quantile(after, fraction) / quantile(before, fraction)


def test_two_deployments_are_unhealthy_and_their_incidents_say_since_when(week: Week) -> None:
    """Which deployments are unhealthy? One is down and one degraded, both reported within minutes."""
    unhealthy = {row.public_id: row for row in week.deployments if row.status != "healthy"}
    assert {name: row.status for name, row in unhealthy.items()} == {
        "llama-70b/neocloud": "down",
        "gpt-4/k8s": "degraded",
    }
    active = week.incident("llama-70b/neocloud", "active")
    recent = week.incident("gpt-4/k8s", "resolved")
    assert [row for row in week.incidents if row.status == "active"] == [active]
    assert timedelta(minutes=40) < ANCHOR - active.started_at < timedelta(minutes=50)
    assert timedelta(hours=1) < ANCHOR - (recent.resolved_at or ANCHOR) < timedelta(hours=12)
    for incident in (active, recent):
        deployment = unhealthy[incident.target or ""]
        assert deployment.id == incident.deployment_id
        assert deployment.status_reason
        assert deployment.status_since is not None
        assert timedelta(0) < deployment.status_since - incident.started_at < timedelta(minutes=10)
    assert all(
        timedelta(0) < ANCHOR - (row.updated_at or ANCHOR) < timedelta(minutes=5) for row in week.deployments
    )
    assert len(week.deployments) == 6
    assert all(row.public_id == f"{row.model}/{row.backend}" and row.region for row in week.deployments)


def test_premium_on_one_deployment_is_slow_since_the_new_router_and_nobody_else(week: Week) -> None:
    """Why are premium users slow? Since v2.4.0 they wait in the router's queue for gpt-4/aws."""
    for row in week.requests:
        assert row.router_version == ("v2.3.1" if row.created_at < ROUTER_CHANGE else "v2.4.0")
    slow = week.of(lambda row: row.tier == "premium" and row.deployment == "gpt-4/aws")
    assert 2.2 < moved(slow, 0.5) < 2.8
    assert 2.0 < moved(slow, 0.95) < 3.0
    for deployment in week.deployments:
        others = [
            row
            for row in week.requests
            if row.deployment == deployment.public_id
            and (row.tier, row.deployment) != ("premium", "gpt-4/aws")
        ]
        assert 0.77 < moved(others, 0.5) < 1.3
        assert 0.77 < moved(others, 0.95) < 1.3
    queued = [row for row in slow if row.created_at >= ROUTER_CHANGE and row.status == "success"]
    waited = fmean(row.routing_reason["queue_ms"] for row in queued) / fmean(row.latency_ms for row in queued)
    assert 0.55 < waited < 0.65
    assert {row.routing_reason["spill_after_ms"] for row in queued} == {20_000}
    assert {row.routing_reason["policy"] for row in week.requests} > {"spill-over"}
    assert not [row for row in queued if row.routing_reason["policy"] == "spill-over"]


def test_each_tier_sends_enough_in_the_week_and_in_the_last_day(week: Week) -> None:
    """How many requests did each tier send this week? Rows and rollups agree, and no tier is sparse."""
    sent = Counter(row.tier for row in week.requests)
    assert set(sent) == {"premium", "standard", "budget"}
    assert min(sent.values()) > 1_500
    assert 5_500 < sent.total() < 6_500
    last_day = Counter(row.tier for row in week.requests if row.created_at >= ANCHOR - timedelta(days=1))
    assert min(last_day.values()) > 200
    for resolution in Resolution:
        rolled: Counter[str] = Counter()
        for rollup in week.rollups:
            rolled[rollup.tier] += rollup.requests if rollup.resolution == resolution else 0
        assert rolled == sent
    assert Counter(user.tier for user in week.users) == {"premium": 3, "standard": 4, "budget": 3}


def test_each_tier_goes_where_its_policy_sends_it(week: Week) -> None:
    """Premium goes to gpt-4/aws, budget to llama-70b/k8s, standard to all; every request says why."""
    share: dict[str, Counter[str]] = {tier: Counter() for tier in ("premium", "standard", "budget")}
    for row in week.requests:
        share[row.tier][row.deployment] += 1
        assert row.routing_reason["chosen"] == row.deployment
        assert row.deployment in row.routing_reason["candidates"]
        assert row.routing_reason["reason"]
    assert share["premium"]["gpt-4/aws"] / share["premium"].total() > 0.85
    assert share["budget"]["llama-70b/k8s"] / share["budget"].total() > 0.75
    assert len(share["standard"]) == 6
    assert max(share["standard"].values()) / share["standard"].total() < 0.45


def test_since_the_outage_the_deployment_answers_nothing_and_another_takes_over(week: Week) -> None:
    """At llama-70b/neocloud every request since the start fails; each is then answered on llama-70b/k8s."""
    start = week.incident("llama-70b/neocloud", "active").started_at
    aimed = week.of(lambda row: row.deployment == "llama-70b/neocloud")
    since = [row for row in aimed if row.created_at >= start]
    assert len(since) >= 9
    assert {row.error_code for row in since} <= {"connection_refused", "connect_timeout"}
    assert {row.status for row in since} <= set(FAILED)
    before = [row for row in aimed if row.created_at < start]
    assert sum(row.status in FAILED for row in before) / len(before) < 0.04
    rescued = week.of(lambda row: row.routing_reason["fallback_from"] is not None)
    assert len(rescued) >= 2
    assert {row.deployment for row in rescued} == {"llama-70b/k8s"}
    assert {row.routing_reason["fallback_from"] for row in rescued} == {"llama-70b/neocloud"}
    assert min(row.created_at for row in rescued) > start


def test_ordinary_failures_are_few_and_of_every_kind(week: Week) -> None:
    """Away from incidents one to two requests in a hundred fail; answers cost money, failures do not."""
    calm = week.of(lambda row: row.deployment in ("gpt-4/aws", "claude-sonnet/aws", "llama-70b/k8s"))
    codes = Counter(row.error_code for row in calm if row.status in FAILED)
    assert set(codes) == {"502", "504", "429", "context_length_exceeded"}
    assert 0.005 < codes.total() / len(calm) < 0.03
    for row in week.requests:
        answered = row.status == "success"
        assert (row.cost_nanousd > 0) == (row.completion_tokens is not None) == answered
        assert (row.error_code is not None) == (row.status in FAILED)
    latencies = [row for row in week.requests if row.status == "success"]
    assert quantile(latencies, 0.99) > 5 * quantile(latencies, 0.5)


def test_six_in_ten_requests_are_scored_hours_later(week: Week) -> None:
    """Of those old enough 60 % have a score, which came 1 to 6 hours after; younger ones have fewer."""
    old = week.of(lambda row: row.created_at < ANCHOR - timedelta(hours=6))
    assert 0.57 < sum(row.score is not None for row in old) / len(old) < 0.63
    scored = week.of(lambda row: row.score is not None)
    for row in scored:
        assert timedelta(hours=1) <= row.scored_at - row.created_at <= timedelta(hours=6)
        assert row.status == "success"
    assert not [row for row in scored if row.created_at > ANCHOR - timedelta(hours=1)]


@pytest.mark.parametrize("target", ["gpt-4/k8s", "mistral-large/gcp"])
def test_quality_falls_during_an_incident_and_only_where_it_is(week: Week, target: str) -> None:
    """Answers made during an incident score lower, those of other deployments at that time do not."""
    incident = week.incident(target, "resolved")

    def mean(*, hit: bool, meanwhile: bool) -> float:
        return fmean(
            row.score
            for row in week.requests
            if row.score is not None
            and (row.deployment == target) == hit
            and (incident.started_at <= row.created_at < incident.resolved_at) == meanwhile
        )

    assert mean(hit=True, meanwhile=True) < mean(hit=True, meanwhile=False) - 0.15
    assert abs(mean(hit=False, meanwhile=True) - mean(hit=False, meanwhile=False)) < 0.05


def test_one_user_has_nearly_spent_its_budget_and_the_others_have_not(week: Week) -> None:
    """Spend is what the requests cost, in the rollups too; one budget-tier user is close to its limit."""
    today = ANCHOR.replace(hour=0, minute=0)
    spent = {user.id: Decimal(0) for user in week.users}
    for row in week.requests:
        spent[row.user_id] += row.cost_nanousd if row.created_at >= today else Decimal(0)
    rolled = {user.id: Decimal(0) for user in week.users}
    for cell in week.spend:
        if cell.resolution == Resolution.HOUR and cell.bucket_start >= today:
            rolled[cell.user_id] += cell.cost_usd
    assert rolled == spent
    share = {user: spent[user.id] / (user.daily_budget_usd or Decimal("Infinity")) for user in week.users}
    (close,) = [user for user, part in share.items() if part > Decimal("0.9")]
    assert close.tier == "budget"
    assert share.pop(close) < Decimal("1.05")
    assert max(share.values()) < Decimal("0.7")
    assert min(share.values()) > 0
    assert all(user.updated_at < ANCHOR - timedelta(days=7) for user in week.users)


def test_rollups_sum_to_the_rows(week: Week) -> None:
    """Counts, money and latency of every deployment and status agree with the log, in both resolutions."""
    for resolution in Resolution:
        rollups = [row for row in week.rollups if row.resolution == resolution]
        by_group: dict[tuple[int, str], list[RequestRollup]] = {}
        for rollup in rollups:
            by_group.setdefault((rollup.deployment_id, rollup.status), []).append(rollup)
        assert set(by_group) == {(row.deployment_id, row.status) for row in week.requests}
        for group, members in by_group.items():
            rows = [row for row in week.requests if (row.deployment_id, row.status) == group]
            latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
            assert sum(member.requests for member in members) == len(rows)
            assert sum(member.latency_sum_ms for member in members) == sum(latencies)
            assert sum(member.cost_usd for member in members) == sum(row.cost_nanousd for row in rows)
            assert Histogram.merged(member.latency_histogram for member in members) == Histogram.of(latencies)


def test_nothing_is_later_than_the_anchor(week: Week) -> None:
    """No row tells of a moment after the anchor, the end of a request included."""
    for row in week.requests:
        assert ANCHOR - timedelta(days=7) <= row.created_at < ANCHOR
        assert row.created_at + timedelta(milliseconds=row.latency_ms or 0) <= ANCHOR
        assert (row.status == "pending") == (row.latency_ms is None)
        assert (row.scored_at or ANCHOR) <= ANCHOR
    for incident in week.incidents:
        assert incident.started_at < ANCHOR
        assert (incident.resolved_at or ANCHOR) <= ANCHOR


def test_there_is_a_past_to_remember(week: Week) -> None:
    """At least fourteen older incidents over eight months, each with all that a recall needs."""
    *past, _recent, active = week.incidents
    assert len(past) >= 14
    assert timedelta(days=210) < ANCHOR - past[0].started_at < timedelta(days=270)
    assert len({incident.title for incident in week.incidents}) == len(week.incidents)
    for incident in past:
        for told in (incident.symptoms, incident.root_cause, incident.resolution):
            assert len(told or "") > 80
            assert "\n" not in (told or "")
    assert (active.root_cause, active.resolution) == (None, None)
    refused = [row for row in past if re.search("neocloud|gpuharbor", row.target or "")]
    assert len(refused) >= 4
