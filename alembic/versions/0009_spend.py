"""caps, balances and reservations of what paid model calls cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = "kind IN ('user', 'key', 'team', 'run', 'installation')"


def upgrade() -> None:
    op.create_table(
        "spend_caps",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("limit_nanousd", sa.BigInteger(), nullable=True),
        sa.Column("time_zone", sa.String(length=100), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_spend_caps_kind_known")),
        sa.CheckConstraint("limit_nanousd >= 0", name=op.f("ck_spend_caps_limit_not_negative")),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_spend_caps")),
    )
    op.create_table(
        "spend_balances",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("time_zone", sa.String(length=100), nullable=False),
        sa.Column("limit_nanousd", sa.BigInteger(), nullable=True),
        sa.Column("spent_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("reserved_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_spend_balances_kind_known")),
        sa.CheckConstraint(
            "spent_nanousd >= 0 AND reserved_nanousd >= 0", name=op.f("ck_spend_balances_not_negative")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spend_balances")),
        sa.UniqueConstraint("kind", "subject", "period", name=op.f("uq_spend_balances_one_per_period")),
    )
    op.create_table(
        "spend_reservations",
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("worst_cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("balances", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_spend_reservations")),
    )


def downgrade() -> None:
    for table in ("spend_reservations", "spend_balances", "spend_caps"):
        op.drop_table(table)
