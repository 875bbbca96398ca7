"""the first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_deployments()
    _create_memory_indexes()
    _create_questions()
    _create_users()
    _create_incidents()
    _create_requests()
    _create_user_spend()
    _create_memory_entries()
    _create_postmortems()
    _create_quality_scores()
    _create_request_rollups()


def downgrade() -> None:
    op.drop_table("request_rollups")
    op.drop_table("quality_scores")
    op.drop_table("postmortems")
    op.drop_table("memory_entries")
    op.drop_table("user_spend")
    op.drop_table("requests")
    op.drop_table("incidents")
    op.drop_table("users")
    op.drop_table("questions")
    op.drop_table("memory_indexes")
    op.drop_table("deployments")


def _create_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("backend", sa.String(length=100), nullable=False),
        sa.Column("region", sa.String(length=100), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("status_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('healthy', 'degraded', 'down', 'unknown')", name=op.f("ck_deployments_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint("model", "backend", name=op.f("uq_deployments_model_backend")),
        sa.UniqueConstraint("public_id", name=op.f("uq_deployments_public_id")),
    )


def _create_memory_indexes() -> None:
    op.create_table(
        "memory_indexes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("collection", sa.String(length=100), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=False),
        sa.Column("weights_hash", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=50), nullable=False),
        sa.Column("dimension", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(name="active_is_boolean"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_indexes")),
        sa.UniqueConstraint("collection", name=op.f("uq_memory_indexes_collection")),
    )
    op.create_index(
        "uq_memory_indexes_active",
        "memory_indexes",
        ["active"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )


def _create_questions() -> None:
    op.create_table(
        "questions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asker", sa.String(length=100), nullable=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "manifest",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.String(length=50), nullable=True),
        sa.Column("no_model_reason", sa.Text(), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("token_budget", sa.BigInteger(), nullable=False),
        sa.Column("token_bound", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("build_ms", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questions")),
        sa.UniqueConstraint("public_id", name=op.f("uq_questions_public_id")),
    )
    op.create_index(op.f("ix_questions_asked_at"), "questions", ["asked_at"], unique=False)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("tier", sa.String(length=20), nullable=False),
        sa.Column("daily_budget_nanousd", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("tier IN ('premium', 'standard', 'budget')", name=op.f("ck_users_tier_known")),
        sa.CheckConstraint("daily_budget_nanousd >= 0", name=op.f("ck_users_daily_budget_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("public_id", name=op.f("uq_users_public_id")),
    )


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("symptoms", sa.Text(), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=True),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(status = 'resolved') = (resolved_at IS NOT NULL)", name=op.f("ck_incidents_resolved_has_a_time")
        ),
        sa.CheckConstraint(
            "severity IN ('critical', 'high', 'medium', 'low')", name=op.f("ck_incidents_severity_known")
        ),
        sa.CheckConstraint("status IN ('active', 'resolved')", name=op.f("ck_incidents_status_known")),
        sa.CheckConstraint("resolved_at >= started_at", name=op.f("ck_incidents_resolved_after_start")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_incidents_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("public_id", name=op.f("uq_incidents_public_id")),
    )
    op.create_index(op.f("ix_incidents_deployment_id"), "incidents", ["deployment_id"], unique=False)
    op.create_index(op.f("ix_incidents_resolved_at"), "incidents", ["resolved_at"], unique=False)
    op.create_index(op.f("ix_incidents_started_at"), "incidents", ["started_at"], unique=False)


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("public_id", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("error_code", sa.String(length=100), nullable=True),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("task_type", sa.String(length=100), nullable=True),
        sa.Column("router_version", sa.String(length=100), nullable=True),
        sa.Column(
            "routing_reason",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=True,
        ),
        sa.CheckConstraint(
            "status IN ('success', 'error', 'timeout', 'rate_limited', 'pending')",
            name=op.f("ck_requests_status_known"),
        ),
        sa.CheckConstraint("cost_nanousd >= 0", name=op.f("ck_requests_cost_not_negative")),
        sa.CheckConstraint("latency_ms >= 0", name=op.f("ck_requests_latency_not_negative")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_requests_deployment_id_deployments")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_requests_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("public_id", name=op.f("uq_requests_public_id")),
    )
    op.create_index(op.f("ix_requests_created_at"), "requests", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_requests_deployment_id_requests_status_requests_created_at"),
        "requests",
        ["deployment_id", "status", "created_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_requests_status_requests_created_at"), "requests", ["status", "created_at"], unique=False
    )
    op.create_index(
        op.f("ix_requests_user_id_requests_created_at"), "requests", ["user_id", "created_at"], unique=False
    )


def _create_user_spend() -> None:
    op.create_table(
        "user_spend",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resolution", sa.String(length=10), nullable=False),
        sa.Column("bucket_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("resolution IN ('minute', 'hour')", name=op.f("ck_user_spend_resolution_known")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_spend_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_spend")),
        sa.UniqueConstraint("resolution", "bucket_start", "user_id", name="uq_user_spend_key"),
    )
    op.create_index(
        op.f("ix_user_spend_user_id_user_spend_resolution_user_spend_bucket_start"),
        "user_spend",
        ["user_id", "resolution", "bucket_start"],
        unique=False,
    )


def _create_memory_entries() -> None:
    op.create_table(
        "memory_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=False),
        sa.Column("weights_hash", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.String(length=50), nullable=False),
        sa.Column("embedded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_memory_entries_incident_id_incidents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_entries")),
        sa.UniqueConstraint("incident_id", name=op.f("uq_memory_entries_incident_id")),
    )
    op.create_index(op.f("ix_memory_entries_content_hash"), "memory_entries", ["content_hash"], unique=False)


def _create_postmortems() -> None:
    op.create_table(
        "postmortems",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("question_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("markdown", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('draft', 'approved', 'rejected')", name=op.f("ck_postmortems_status_known")
        ),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_postmortems_incident_id_incidents")
        ),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.id"], name=op.f("fk_postmortems_question_id_questions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postmortems")),
        sa.UniqueConstraint("incident_id", name=op.f("uq_postmortems_incident_id")),
    )


def _create_quality_scores() -> None:
    op.create_table(
        "quality_scores",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("scorer", sa.String(length=100), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "score >= 0 AND score <= 1", name=op.f("ck_quality_scores_score_in_unit_interval")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["requests.id"], name=op.f("fk_quality_scores_request_id_requests")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quality_scores")),
        sa.UniqueConstraint("request_id", name=op.f("uq_quality_scores_request_id")),
    )
    op.create_index(op.f("ix_quality_scores_scored_at"), "quality_scores", ["scored_at"], unique=False)


def _create_request_rollups() -> None:
    op.create_table(
        "request_rollups",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resolution", sa.String(length=10), nullable=False),
        sa.Column("bucket_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tier", sa.String(length=20), nullable=False),
        sa.Column("router_version", sa.String(length=100), nullable=False),
        sa.Column("task_type", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("error_code", sa.String(length=100), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("latency_sum_ms", sa.BigInteger(), nullable=False),
        sa.Column("latency_histogram", sa.LargeBinary(), nullable=False),
        sa.Column("slowest_ms", sa.BigInteger(), nullable=True),
        sa.Column("slowest_request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "resolution IN ('minute', 'hour')", name=op.f("ck_request_rollups_resolution_known")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_request_rollups_deployment_id_deployments")
        ),
        sa.ForeignKeyConstraint(
            ["slowest_request_id"],
            ["requests.id"],
            name=op.f("fk_request_rollups_slowest_request_id_requests"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_rollups")),
        sa.UniqueConstraint(
            "resolution",
            "bucket_start",
            "deployment_id",
            "tier",
            "router_version",
            "task_type",
            "status",
            "error_code",
            name="uq_request_rollups_key",
        ),
    )
    op.create_index(
        op.f("ix_request_rollups_deployment_id_request_rollups_resolution_request_rollups_bucket_start"),
        "request_rollups",
        ["deployment_id", "resolution", "bucket_start"],
        unique=False,
    )
