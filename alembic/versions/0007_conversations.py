"""conversations of the proxy: decisions about human turns, and which facts replies used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "conversation_turns",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("conversation", sa.String(length=24), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("stated", _JSON, nullable=False),
        sa.Column("kinds", _JSON, nullable=False),
        sa.Column("reply", sa.String(length=32), nullable=True),
        sa.Column("cuts", _JSON, nullable=False),
        sa.Column("recalled", _JSON, nullable=False),
        sa.Column("cut_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_turns")),
        sa.UniqueConstraint(
            "credential", "prefix", "version", name=op.f("uq_conversation_turns_credential_prefix_version")
        ),
    )
    op.create_index(op.f("ix_conversation_turns_conversation"), "conversation_turns", ["conversation"])
    op.create_table(
        "conversation_facts",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("conversation", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("shown", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_facts")),
        sa.UniqueConstraint("conversation", "kind", name=op.f("uq_conversation_facts_conversation_kind")),
    )
    op.create_index(op.f("ix_conversation_facts_credential"), "conversation_facts", ["credential"])


def downgrade() -> None:
    op.drop_table("conversation_facts")
    op.drop_table("conversation_turns")
