"""The operational history of the story: one world with its requests and incidents, at any seed and anchor."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select

from api.demo_data.generator import DemoData, generate
from api.demo_data.personas import DEPLOYMENTS, USERS
from api.demo_data.routing import AFTER, BEFORE, ROUTER_CHANGE
from models import (
    AuditEvent,
    ConfigChange,
    Deployment,
    ErrorLog,
    Incident,
    Job,
    Notification,
    Request,
    StateTransition,
    User,
    UserAction,
)
from models.database import Database

pytestmark = pytest.mark.long


ANCHORS = {
    7: datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    -3: datetime(2024, 2, 29, 0, 1, tzinfo=UTC),
    11: datetime(2003, 12, 31, 23, 59, tzinfo=UTC),
}
WHEN: dict[str, str] = {
    "states": "changed_at",
    "health": "checked_at",
    "changes": "changed_at",
    "errors": "logged_at",
    "audit": "occurred_at",
    "notifications": "created_at",
    "activity": "occurred_at",
    "jobs": "created_at",
    "maintenance": "announced_at",
}
ROLES = {role.public_id: role for role in DEPLOYMENTS}
DOWN, DEGRADED = "llama-70b/neocloud", "gpt-4/k8s"


@pytest.fixture(scope="module", params=list(ANCHORS))
def told(request: pytest.FixtureRequest) -> DemoData:
    return generate(request.param, ANCHORS[request.param])


def all_of(told: DemoData, kind: str) -> Sequence[Any]:
    return told.records[kind]


def rows(told: DemoData, kind: str, **values: Any) -> list[Any]:
    """Rows of the history with these values, oldest first."""
    found = [
        row
        for row in all_of(told, kind)
        if all(getattr(row, name) == value for name, value in values.items())
    ]
    return sorted(found, key=lambda row: getattr(row, WHEN[kind]))


def chain(told: DemoData, deployment: str) -> list[Any]:
    return rows(told, "states", deployment=deployment)


def active_since(told: DemoData, target: str) -> datetime:
    starts: list[datetime] = [each.started_at for each in all_of(told, "incidents") if each.target == target]
    return max(starts)


def test_nothing_has_happened_after_the_anchor(told: DemoData) -> None:
    """Every row was known at the anchor; a job is created, started and finished in this order."""
    for kind, column in WHEN.items():
        assert all_of(told, kind)
        assert all(getattr(row, column) < told.anchor for row in all_of(told, kind))
    for job in all_of(told, "jobs"):
        times = [
            getattr(job, name) for name in ("created_at", "started_at", "finished_at") if getattr(job, name)
        ]
        assert times == sorted(times)
        assert times[-1] < told.anchor
        assert (job.status == "failed") == (job.error is not None)
        assert (job.started_at is None) <= (job.status in ("queued", "cancelled"))
    assert len({job.id for job in all_of(told, "jobs")}) == len(all_of(told, "jobs"))


def test_each_chain_of_states_is_unbroken_and_ends_in_the_status(told: DemoData) -> None:
    """Each change begins where the one before it ended, and the last is what the deployment reports."""
    for name, role in ROLES.items():
        changes = chain(told, name)
        assert changes[0].from_status == "unknown"
        for change, after in pairwise(changes):
            assert change.to_status == after.from_status
            assert change.changed_at < after.changed_at
        assert all(change.from_status != change.to_status for change in changes)
        last = changes[-1]
        assert (last.to_status, last.reason) == (role.status, role.status_reason)
        assert last.changed_at == told.anchor - role.status_age
    down = [row.to_status for row in chain(told, DOWN)[-3:]]
    assert down == ["healthy", "degraded", "down"]


def test_probes_agree_with_states_and_incidents(told: DemoData) -> None:
    """A probe sees the status of its moment, except between the start of an incident and its detection."""
    for name, role in ROLES.items():
        checks = rows(told, "health", deployment=name)
        assert checks[-1].checked_at == told.anchor - role.report_age
        assert timedelta(days=2) - (told.anchor - checks[0].checked_at) < timedelta(minutes=5)
        gaps = [after.checked_at - check.checked_at for check, after in pairwise(checks)]
        assert timedelta(minutes=1) <= min(gaps) <= max(gaps) <= timedelta(minutes=5)
        for check in checks:
            reported = [row for row in chain(told, name) if row.changed_at <= check.checked_at][-1]
            undetected = (
                name in (DOWN, DEGRADED)
                and active_since(told, name) <= check.checked_at < told.anchor - role.status_age
            )
            assert undetected or check.status == reported.to_status
            assert (check.latency_ms is None) == (check.status == "down")
            assert (check.error is None) == (check.status == "healthy")
    failed = rows(told, "health", deployment=DOWN, status="down")
    before_down = [row for row in failed if row.checked_at <= told.anchor - ROLES[DOWN].status_age]
    assert len(before_down) == 3
    assert before_down[0].checked_at >= active_since(told, DOWN)
    assert all("connection refused" in row.error for row in failed)


def test_the_rollout_and_its_parameter_explain_the_slow_premium_users(told: DemoData) -> None:
    """Job, change and audit events stand at the moment from which requests carry the new version."""
    moment = told.anchor - ROUTER_CHANGE
    (rollout,) = [row for row in all_of(told, "jobs") if row.started_at == moment]
    assert (rollout.type, rollout.status, rollout.target) == ("rollout", "succeeded", "router")
    assert rollout.detail == f"{BEFORE.version} -> {AFTER.version}"
    (change,) = rows(told, "changes", changed_at=moment)
    values = (change.target, change.parameter, change.old_value, change.new_value)
    spill = (BEFORE.premium_spill_after_ms, AFTER.premium_spill_after_ms)
    assert values == ("router", "premium_spill_after_ms", str(spill[0]), str(spill[1]))
    recorded = " ".join(event.detail for event in rows(told, "audit", occurred_at=moment))
    assert rollout.id in recorded
    assert change.id in recorded
    assert {sent.router_version for sent in told.requests if sent.created_at >= moment} == {AFTER.version}
    nearby = [
        row
        for kind in ("jobs", "changes")
        for row in all_of(told, kind)
        if abs(getattr(row, WHEN[kind]) - moment) < timedelta(hours=12)
    ]
    assert len(nearby) == 2
    waited = [line for line in all_of(told, "errors") if "in the queue of gpt-4/aws" in line.message]
    assert len(waited) > 100
    assert min(line.logged_at for line in waited) > moment
    tickets = rows(told, "activity", action="ticket.open", user="user_acme")
    assert tickets[0].occurred_at > moment


def test_of_the_outage_nobody_was_paged(told: DemoData) -> None:
    """The provider's firmware update runs since before it; the page failed as its key was revoked before."""
    (firmware,) = rows(told, "jobs", type="firmware_update", status="running")
    assert firmware.target == "neocloud"
    assert timedelta(0) < active_since(told, DOWN) - firmware.started_at < timedelta(minutes=5)
    sent = {row.status: row.provider for row in rows(told, "notifications", target=DOWN)}
    assert sent == {"failed": "pagerduty", "sent": "slack"}
    failed = rows(told, "notifications", status="failed")
    assert all(re.match(r"HTTP 4\d\d: ", row.error) for row in failed)
    (revoked,) = rows(told, "audit", action="key.revoke")
    paged = rows(told, "notifications", provider="pagerduty", status="sent")
    assert paged[-1].created_at < revoked.occurred_at < failed[0].created_at
    records = {record.id: record for record in all_of(told, "incidents")}
    for row in all_of(told, "notifications"):
        assert row.incident is None or records[row.incident].target == row.target


def test_references_from_one_event_to_another_hold(told: DemoData) -> None:
    """A job or change that another event names had begun by then, and each recent change is audited."""
    made = {job.id: job.created_at for job in all_of(told, "jobs")}
    made |= {change.id: change.changed_at for change in all_of(told, "changes")}
    recent = {row.id for row in rows(told, "changes") if told.anchor - row.changed_at < timedelta(6)}
    audited = set()
    for kind, texts in (
        ("audit", ("detail",)),
        ("notifications", ("subject",)),
        ("jobs", ("detail", "created_by")),
    ):
        for row in all_of(told, kind):
            named = {
                name for text in texts for name in re.findall(r"(?:job|cfg)_\d+", getattr(row, text) or "")
            }
            assert all(made[name] <= getattr(row, WHEN[kind]) for name in named)
            audited |= named
    assert recent <= audited


def test_every_failed_request_left_its_line(told: DemoData) -> None:
    """The log names each failed request once, when it ended, on its deployment; floods add the rest."""
    lines = all_of(told, "errors")
    assert 3_000 < len(lines) < 5_000
    named: defaultdict[str, list[Any]] = defaultdict(list)
    for line in lines:
        if line.message.startswith("req_") and line.target != "router":
            named[line.message.split(":")[0]].append(line)
    failed = {sent.public_id: sent for sent in told.requests if sent.outcome.error_code is not None}
    assert set(named) == set(failed)
    for public_id, (line,) in named.items():
        sent = failed[public_id]
        assert line.target == sent.deployment
        assert line.logged_at == sent.ended_at
    assert len({line.message for line in lines}) > 0.8 * len(lines)
    refused = [line for line in lines if "connection refused" in line.message]
    assert len(refused) > 300
    assert min(line.logged_at for line in refused) >= active_since(told, DOWN)
    assert not [line for line in lines if "{" in line.message]


def test_the_seed_moves_lines_and_probes_but_no_event_written_by_hand() -> None:
    """Two seeds share jobs, changes and alerts; their log lines and latencies differ."""
    one, other = (generate(seed, ANCHORS[7]).records for seed in (7, 8))
    assert one["jobs"] == other["jobs"]
    assert one["notifications"] == other["notifications"]
    assert one["errors"] != other["errors"]
    assert one["health"] != other["health"]
    assert one == generate(7, ANCHORS[7]).records


async def test_the_rows_refer_to_what_their_targets_name(story: Database) -> None:
    """In both databases a foreign key is that of the deployment of this name, or null for what is none."""
    async with story.write() as session:
        named = await session.execute(select(Deployment.id, Deployment.public_id))
        names: dict[int | None, str] = {row.id: row.public_id for row in named}
        for table in (Job, ConfigChange, AuditEvent, ErrorLog):
            found = await session.execute(select(table.target, table.deployment_id).distinct())
            for target, deployment_id in found:
                assert names.get(deployment_id) == (target if target in ROLES else None)
        alerts = (await session.scalars(select(Notification))).all()
        incidents = {row.id: row for row in await session.scalars(select(Incident))}
        linked = [row for row in alerts if row.incident_id is not None]
        assert {incidents[row.incident_id or 0].deployment_id for row in linked} == {
            row.deployment_id for row in linked
        }
        for deployment in await session.scalars(select(Deployment)):
            last = await session.scalars(
                select(StateTransition)
                .where(StateTransition.deployment_id == deployment.id)
                .order_by(StateTransition.changed_at.desc())
                .limit(1)
            )
            change = last.one()
            assert (change.to_status, change.changed_at) == (deployment.status, deployment.status_since)
            assert deployment.version
            assert deployment.endpoint
            assert deployment.last_seen_at
            silent_for = ANCHORS[7] - deployment.last_seen_at
            assert (silent_for > timedelta(minutes=40)) == (deployment.public_id == DOWN)
            busiest = await session.execute(
                select(Request.created_at).where(Request.deployment_id == deployment.id)
            )
            minutes = Counter(moment.replace(second=0, microsecond=0) for (moment,) in busiest)
            assert max(minutes.values()) <= (deployment.capacity_rpm or 0)
        users = {user.id: user for user in await session.scalars(select(User))}
        assert {user.role for user in users.values()} == {"admin", "developer", "service"}
        assert len({user.name for user in users.values()}) == len(USERS)
        batch = (await session.scalars(select(UserAction).where(UserAction.action == "batch.submit"))).one()
        first = await session.scalar(
            select(func.min(Request.created_at)).where(
                Request.endpoint == "/v1/messages/batches", Request.user_id == batch.user_id
            )
        )
        assert users[batch.user_id].public_id == "user_papertrail"
        assert first is not None
        assert timedelta(0) < first - batch.occurred_at < timedelta(minutes=5)
