"""pollers: what each target said last, and when it is asked again.

A new table alone: nothing that is stored changes, and services of the older release do not notice it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "poller_states",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(250), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("about", sa.String(201), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("succeeded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("memory", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('status_page', 'model_server', 'litellm')", name=op.f("ck_poller_states_kind_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_poller_states")),
        sa.UniqueConstraint("name", name=op.f("uq_poller_states_name")),
    )


def downgrade() -> None:
    op.drop_table("poller_states")
