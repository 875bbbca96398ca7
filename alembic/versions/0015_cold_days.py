"""cold_days: which days of the request log lie in files, so that ids may outlive their rows.

Scores and rollups name requests by id; the references to the log go, since a cold day's requests are not in
it. Nothing is rewritten: on SQLite the text of the schema changes, as its manual describes for constraints.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_REFERENCES = (("quality_scores", "request_id"), ("request_rollups", "slowest_request_id"))


def upgrade() -> None:
    op.create_table(
        "cold_days",
        sa.Column("path", sa.String(length=100), nullable=False),
        sa.Column("day", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('moving', 'cold')", name=op.f("ck_cold_days_state_known")),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_cold_days")),
    )
    op.create_index(op.f("ix_cold_days_day"), "cold_days", ["day"])
    for table, column in _REFERENCES:
        if op.get_bind().dialect.name == "postgresql":
            op.drop_constraint(_name(table, column), table, type_="foreignkey")
        else:
            _replace(table, f"{_reference(table, column)}, \n\t", "")


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM cold_days")):
        raise RuntimeError("days of the request log are in files, which the older schema cannot read")
    op.drop_table("cold_days")
    for table, column in _REFERENCES:
        if op.get_bind().dialect.name == "postgresql":
            op.create_foreign_key(_name(table, column), table, "requests", [column], ["id"])
        else:
            kept = f"CONSTRAINT pk_{table} PRIMARY KEY (id), \n\t"
            _replace(table, kept, f"{kept}{_reference(table, column)}, \n\t")


def _name(table: str, column: str) -> str:
    return f"fk_{table}_{column}_requests"


def _reference(table: str, column: str) -> str:
    return f"CONSTRAINT {_name(table, column)} FOREIGN KEY({column}) REFERENCES requests (id)"


def _replace(table: str, old: str, new: str) -> None:
    """Change the definition of a SQLite table; readers notice by the new table of this revision."""
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    given = {"table": table, "old": old, "new": new}
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new)"
            " WHERE type = 'table' AND name = :table AND instr(sql, :old)"
        ),
        given,
    )
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    if changed.rowcount != 1:
        raise RuntimeError(f"the definition of {table} is not the one of this revision: {old!r} is not in it")
