"""ingest: items that were sent and could not be stored.

A new table alone: nothing that is stored changes, and services of the older release do not notice it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ingest_rejects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("original", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_rejects")),
    )
    op.create_index(op.f("ix_ingest_rejects_received_at"), "ingest_rejects", ["received_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_ingest_rejects_received_at"), table_name="ingest_rejects")
    op.drop_table("ingest_rejects")
