"""audit: who did what, in rows that chain by hash and that cannot be changed.

Besides refusing changes, triggers let a row in only if it follows the last one, no matter who writes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_REFUSAL = "audit entries can only be appended"


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('done', 'refused', 'failed')", name=op.f("ck_audit_entries_outcome_known")
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_at"), "audit_entries", ["at"])
    for statement in _for_postgresql() if _is_postgresql() else _for_sqlite():
        op.execute(statement)


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_entries_at"), table_name="audit_entries")
    op.drop_table("audit_entries")  # and with it its triggers
    if _is_postgresql():
        op.execute("DROP FUNCTION refuse_audit_change()")
        op.execute("DROP FUNCTION check_audit_entry()")


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _for_sqlite() -> Iterator[str]:
    for event in ("UPDATE", "DELETE"):
        yield (
            f"CREATE TRIGGER refuse_audit_{event.lower()} BEFORE {event} ON audit_entries"
            f" BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
    # INSERT OR REPLACE would delete without asking the trigger above.
    yield (
        "CREATE TRIGGER check_audit_entry BEFORE INSERT ON audit_entries WHEN"
        " NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit_entries)"
        " OR NEW.previous IS NOT coalesce("
        "(SELECT hash FROM audit_entries ORDER BY sequence DESC LIMIT 1), printf('%064d', 0))"
        " BEGIN SELECT RAISE(ABORT, 'an audit entry must follow the last one'); END"
    )


def _for_postgresql() -> Iterator[str]:
    yield (
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    yield (
        "CREATE FUNCTION check_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$"
        " DECLARE last_sequence bigint := 0; last_hash text := repeat('0', 64);"
        " BEGIN"
        " SELECT sequence, hash INTO last_sequence, last_hash FROM audit_entries"
        " ORDER BY sequence DESC LIMIT 1;"
        " IF NOT FOUND THEN last_sequence := 0; last_hash := repeat('0', 64); END IF;"
        " IF NEW.sequence <> last_sequence + 1 OR NEW.previous <> last_hash THEN"
        " RAISE EXCEPTION 'an audit entry must follow the last one'; END IF;"
        " RETURN NEW; END $$"
    )
    yield (
        "CREATE TRIGGER refuse_audit_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )
    yield (
        "CREATE TRIGGER check_audit_entry BEFORE INSERT ON audit_entries"
        " FOR EACH ROW EXECUTE FUNCTION check_audit_entry()"
    )
