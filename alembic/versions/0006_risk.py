"""risk: forecasts with their outcomes, the transitions of breakers, and objectives of latency."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("deployments", sa.Column("p95_objective_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "risk_forecasts",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("deployment_id", _KEY, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expert", sa.String(length=50), nullable=False),
        sa.Column("now_ms", sa.Float(), nullable=False),
        sa.Column("expected_ms", sa.Float(), nullable=True),
        sa.Column("low_ms", sa.Float(), nullable=True),
        sa.Column("high_ms", sa.Float(), nullable=True),
        sa.Column("limit_ms", sa.Float(), nullable=True),
        sa.Column("breach_probability", sa.Float(), nullable=True),
        sa.Column("outcome_ms", sa.Float(), nullable=True),
        sa.Column("breached", sa.Boolean(), nullable=True),
        sa.Column("matured_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("due_at > made_at", name=op.f("ck_risk_forecasts_due_later")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_risk_forecasts_deployment_id_deployments")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_forecasts")),
        sa.UniqueConstraint("deployment_id", "made_at", name="uq_risk_forecasts_one_a_moment"),
    )
    op.create_index(op.f("ix_risk_forecasts_due_at"), "risk_forecasts", ["due_at"], unique=False)
    op.create_table(
        "risk_transitions",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deployment_id", _KEY, nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=False),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name=op.f("fk_risk_transitions_deployment_id_deployments"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_transitions")),
    )
    op.create_index(
        op.f("ix_risk_transitions_deployment_id_risk_transitions_at"),
        "risk_transitions",
        ["deployment_id", "at"],
    )
    op.create_index(op.f("ix_risk_transitions_at"), "risk_transitions", ["at"], unique=False)


def downgrade() -> None:
    op.drop_table("risk_transitions")
    op.drop_table("risk_forecasts")
    # Not as a batch: on SQLite that copies the table, and the copy has none of the triggers.
    op.execute("ALTER TABLE deployments DROP COLUMN p95_objective_ms")
