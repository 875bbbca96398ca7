"""operational history: jobs, logs, changes, alerts, schedules, quality rollups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_columns()
    _create_maintenance_windows()
    _create_operating_hours()
    _create_audit_events()
    _create_config_changes()
    _create_error_logs()
    _create_health_checks()
    _create_jobs()
    _create_quality_rollups()
    _create_state_transitions()
    _create_user_actions()
    _create_notifications()
    _roll_up_quality_scores()


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_table("user_actions")
    op.drop_table("state_transitions")
    op.drop_table("quality_rollups")
    op.drop_table("jobs")
    op.drop_table("health_checks")
    op.drop_table("error_logs")
    op.drop_table("config_changes")
    op.drop_table("audit_events")
    op.drop_table("operating_hours")
    op.drop_table("maintenance_windows")
    op.drop_column("users", "role")
    op.drop_column("users", "name")
    op.drop_column("requests", "endpoint")
    op.drop_column("deployments", "last_seen_at")
    op.drop_column("deployments", "capacity_rpm")
    op.drop_column("deployments", "endpoint")
    op.drop_column("deployments", "version")


def _add_columns() -> None:
    op.add_column("deployments", sa.Column("version", sa.String(length=100), nullable=True))
    op.add_column("deployments", sa.Column("endpoint", sa.String(length=500), nullable=True))
    op.add_column("deployments", sa.Column("capacity_rpm", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("requests", sa.Column("endpoint", sa.String(length=200), nullable=True))
    op.add_column("users", sa.Column("name", sa.String(length=200), nullable=True))
    op.add_column("users", sa.Column("role", sa.String(length=100), nullable=True))


def _create_maintenance_windows() -> None:
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backend", sa.String(length=100), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_maintenance_windows_ends_after_start")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
    )
    op.create_index(
        op.f("ix_maintenance_windows_starts_at"), "maintenance_windows", ["starts_at"], unique=False
    )


def _create_operating_hours() -> None:
    op.create_table(
        "operating_hours",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backend", sa.String(length=100), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("opens_minute", sa.Integer(), nullable=False),
        sa.Column("closes_minute", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(length=100), nullable=False),
        sa.CheckConstraint(
            "opens_minute >= 0 AND closes_minute > opens_minute AND closes_minute <= 1440",
            name=op.f("ck_operating_hours_opens_before_it_closes"),
        ),
        sa.CheckConstraint("weekday >= 0 AND weekday <= 6", name=op.f("ck_operating_hours_weekday_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operating_hours")),
        sa.UniqueConstraint(
            "backend", "weekday", "opens_minute", name=op.f("uq_operating_hours_backend_weekday_opens_minute")
        ),
    )


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_audit_events_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index(
        op.f("ix_audit_events_deployment_id_audit_events_occurred_at"),
        "audit_events",
        ["deployment_id", "occurred_at"],
        unique=False,
    )
    op.create_index(op.f("ix_audit_events_occurred_at"), "audit_events", ["occurred_at"], unique=False)


def _create_config_changes() -> None:
    op.create_table(
        "config_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("parameter", sa.String(length=200), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=True),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_config_changes_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_config_changes")),
        sa.UniqueConstraint("public_id", name=op.f("uq_config_changes_public_id")),
    )
    op.create_index(op.f("ix_config_changes_changed_at"), "config_changes", ["changed_at"], unique=False)
    op.create_index(
        op.f("ix_config_changes_deployment_id_config_changes_changed_at"),
        "config_changes",
        ["deployment_id", "changed_at"],
        unique=False,
    )


def _create_error_logs() -> None:
    op.create_table(
        "error_logs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "severity IN ('critical', 'error', 'warning')", name=op.f("ck_error_logs_severity_known")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_error_logs_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_logs")),
    )
    op.create_index(
        op.f("ix_error_logs_deployment_id_error_logs_logged_at"),
        "error_logs",
        ["deployment_id", "logged_at"],
        unique=False,
    )
    op.create_index(op.f("ix_error_logs_logged_at"), "error_logs", ["logged_at"], unique=False)


def _create_health_checks() -> None:
    op.create_table(
        "health_checks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('healthy', 'degraded', 'down', 'unknown')", name=op.f("ck_health_checks_status_known")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_health_checks_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_checks")),
    )
    op.create_index(
        op.f("ix_health_checks_deployment_id_health_checks_checked_at"),
        "health_checks",
        ["deployment_id", "checked_at"],
        unique=False,
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished_has_a_time"),
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_status_known"),
        ),
        sa.CheckConstraint(
            "type IN ('rollout', 'drain', 'scale', 'firmware_update', 'image_update')",
            name=op.f("ck_jobs_type_known"),
        ),
        sa.CheckConstraint("finished_at >= created_at", name=op.f("ck_jobs_finished_after_creation")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_jobs_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("public_id", name=op.f("uq_jobs_public_id")),
    )
    op.create_index(op.f("ix_jobs_created_at"), "jobs", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_jobs_deployment_id_jobs_created_at"), "jobs", ["deployment_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_jobs_finished_at"), "jobs", ["finished_at"], unique=False)


def _create_quality_rollups() -> None:
    op.create_table(
        "quality_rollups",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("bucket_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scored_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tier", sa.String(length=20), nullable=False),
        sa.Column("router_version", sa.String(length=100), nullable=False),
        sa.Column("task_type", sa.String(length=100), nullable=False),
        sa.Column("scores", sa.BigInteger(), nullable=False),
        sa.Column("score_sum_millionths", sa.BigInteger(), nullable=False),
        sa.Column("score_square_sum_millionths", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "scored_hour >= bucket_start", name=op.f("ck_quality_rollups_scored_after_the_request")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_quality_rollups_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality_rollups")),
        sa.UniqueConstraint(
            "bucket_start",
            "scored_hour",
            "deployment_id",
            "tier",
            "router_version",
            "task_type",
            name="uq_quality_rollups_key",
        ),
    )
    op.create_index(
        op.f("ix_quality_rollups_deployment_id_quality_rollups_bucket_start"),
        "quality_rollups",
        ["deployment_id", "bucket_start"],
        unique=False,
    )


def _create_state_transitions() -> None:
    op.create_table(
        "state_transitions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_status", sa.String(length=20), nullable=False),
        sa.Column("to_status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "from_status IN ('healthy', 'degraded', 'down', 'unknown')",
            name=op.f("ck_state_transitions_from_status_known"),
        ),
        sa.CheckConstraint(
            "to_status IN ('healthy', 'degraded', 'down', 'unknown')",
            name=op.f("ck_state_transitions_to_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_state_transitions_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state_transitions")),
    )
    op.create_index(
        op.f("ix_state_transitions_changed_at"), "state_transitions", ["changed_at"], unique=False
    )
    op.create_index(
        op.f("ix_state_transitions_deployment_id_state_transitions_changed_at"),
        "state_transitions",
        ["deployment_id", "changed_at"],
        unique=False,
    )


def _create_user_actions() -> None:
    op.create_table(
        "user_actions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_actions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_actions")),
    )
    op.create_index(
        op.f("ix_user_actions_user_id_user_actions_occurred_at"),
        "user_actions",
        ["user_id", "occurred_at"],
        unique=False,
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("channel", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint("status IN ('sent', 'failed')", name=op.f("ck_notifications_status_known")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_notifications_deployment_id_deployments")
        ),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_notifications_incident_id_incidents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    op.create_index(op.f("ix_notifications_created_at"), "notifications", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_notifications_deployment_id_notifications_created_at"),
        "notifications",
        ["deployment_id", "created_at"],
        unique=False,
    )
    op.create_index(op.f("ix_notifications_incident_id"), "notifications", ["incident_id"], unique=False)


_MILLION = 1_000_000
_ROWS_AT_ONCE = 5_000


def _roll_up_quality_scores() -> None:
    """Scores that were stored before there were rollups of them."""
    connection = op.get_bind()
    counts: Counter[tuple[Any, ...]] = Counter()
    sums: Counter[tuple[Any, ...]] = Counter()
    squares: Counter[tuple[Any, ...]] = Counter()
    for key, score in _scores(connection):
        counts[key] += 1
        sums[key] += round(score * _MILLION)
        squares[key] += round(score * score * _MILLION)
    moment = sa.DateTime(timezone=True)
    table = sa.table(
        "quality_rollups",
        sa.column("bucket_start", moment),
        sa.column("scored_hour", moment),
        *(sa.column(name) for name in ("deployment_id", "tier", "router_version", "task_type")),
        *(sa.column(name) for name in ("scores", "score_sum_millionths", "score_square_sum_millionths")),
    )
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, (*key, counts[key], sums[key], squares[key]), strict=True)) for key in counts]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(table.insert(), rows[start : start + _ROWS_AT_ONCE])


def _scores(connection: sa.Connection) -> Iterator[tuple[tuple[Any, ...], float]]:
    """Key of its rollup and value of each score."""
    moment = sa.DateTime(timezone=True)
    query = sa.text(
        "SELECT r.created_at, q.scored_at, r.deployment_id, u.tier, u.updated_at, r.router_version,"
        " r.task_type, q.score"
        " FROM quality_scores q JOIN requests r ON r.id = q.request_id JOIN users u ON u.id = r.user_id"
    ).columns(created_at=moment, scored_at=moment, updated_at=moment)
    for created_at, scored_at, deployment_id, tier, changed_at, version, task, score in connection.execute(
        query
    ):
        hours = [at.replace(minute=0, second=0, microsecond=0) for at in (created_at, scored_at)]
        tier_then = tier if changed_at <= created_at else ""
        yield (*hours, deployment_id, tier_then, version or "", task or ""), score
