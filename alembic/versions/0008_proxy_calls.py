"""requests that the proxy forwarded, and the outbox of its events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "proxy_calls",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("request_id", sa.String(100), nullable=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("conversation", sa.String(100)),
        sa.Column("turn", sa.String(100)),
        sa.Column("user_name", sa.String(100)),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("upstream", sa.String(100)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("transitions", _JSON, nullable=False),
        sa.Column("changes", _JSON, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger()),
        sa.Column("stop_reason", sa.String(100)),
        sa.Column("error", sa.Text()),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("first_byte_ms", sa.Float()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("cache_read_tokens", sa.BigInteger()),
        sa.Column("cache_write_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("upstream_request_id", sa.String(200)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proxy_calls")),
        sa.UniqueConstraint("request_id", name=op.f("uq_proxy_calls_request_id")),
    )
    op.create_index(
        op.f("ix_proxy_calls_conversation_proxy_calls_received_at"),
        "proxy_calls",
        ["conversation", "received_at"],
    )
    op.create_index(op.f("ix_proxy_calls_received_at"), "proxy_calls", ["received_at"])
    op.create_table(
        "proxy_outbox",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("queued_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proxy_outbox")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("proxy_outbox")
    op.drop_table("proxy_calls")
