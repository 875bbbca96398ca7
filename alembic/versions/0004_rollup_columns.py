"""rollups to columns: a third width of ten minutes, and stamps by which readers find what changed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = {
    "request_rollups": (
        "resolution, bucket_start, deployment_id, tier, router_version, task_type, status, error_code"
    ),
    "user_spend": "resolution, bucket_start, user_id",
    "quality_rollups": "bucket_start, scored_hour, deployment_id, tier, router_version, task_type",
}
"""Columns of each table's key."""
_WIDE = ("request_rollups", "user_spend")
"""Tables with a resolution."""
_BATCH = timedelta(days=1)
_CELL = struct.Struct("<HI")
"""A bucket of a stored histogram, and its count."""


def upgrade() -> None:
    op.create_table(
        "rollup_clock",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("removals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_clock")),
    )
    op.execute("INSERT INTO rollup_clock (stamp, removals) VALUES (0, 0)")
    for table in _TABLES:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("stamp", sa.BigInteger(), nullable=False, server_default="0"))
            if table in _WIDE:
                _accept(batch, table, "'minute', '10_minutes', 'hour'")
    _fill_requests()
    _fill_spend()
    for table in _TABLES:
        op.create_index(op.f(f"ix_{table}_stamp"), table, ["stamp"], unique=False)
    for statement in _postgresql_triggers() if _is_postgresql() else _sqlite_triggers():
        op.execute(statement)


def downgrade() -> None:
    for table in _TABLES:
        names = ("stamp", "forget") if _is_postgresql() else ("stamp_new", "stamp_changed", "forget", "move")
        for name in names:
            op.execute(f"DROP TRIGGER {name}_{table}" + (f" ON {table}" if _is_postgresql() else ""))
        op.drop_index(op.f(f"ix_{table}_stamp"), table)
        if table in _WIDE:
            op.execute(f"DELETE FROM {table} WHERE resolution = '10_minutes'")  # noqa: S608  names of ours
        with op.batch_alter_table(table) as batch:
            batch.drop_column("stamp")
            if table in _WIDE:
                _accept(batch, table, "'minute', 'hour'")
    if _is_postgresql():
        op.execute("DROP FUNCTION stamp_rollup()")
        op.execute("DROP FUNCTION forget_rollups()")
    op.drop_table("rollup_clock")


def _accept(batch: Any, table: str, resolutions: str) -> None:
    name = op.f(f"ck_{table}_resolution_known")
    batch.drop_constraint(name, type_="check")
    batch.create_check_constraint(name, f"resolution IN ({resolutions})")


def _fill_requests() -> None:
    """Merge the minutes of ten minutes each, one day at a time, so that memory does not grow with the log."""
    table = sa.Table("request_rollups", sa.MetaData(), autoload_with=op.get_bind())
    start = table.c.bucket_start
    minutes = table.c.resolution == "minute"
    first, last = (
        op.get_bind().execute(sa.select(sa.func.min(start), sa.func.max(start)).where(minutes)).one()
    )
    while first is not None and first <= last:
        day = first.replace(hour=0, minute=0, second=0, microsecond=0)
        within = sa.and_(minutes, start >= day, start < day + _BATCH)
        rows = op.get_bind().execute(sa.select(table).where(within).order_by(table.c.id)).mappings().all()
        if rows:
            op.bulk_insert(table, list(_merged(rows)))
        first = day + _BATCH


def _merged(rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[Any]] = {}
    names = _TABLES["request_rollups"].split(", ")[2:]
    for row in rows:
        key = (_slot(row["bucket_start"]), *(row[name] for name in names))
        groups.setdefault(key, []).append(row)
    for (start, *values), members in groups.items():
        timed = [row for row in members if row["slowest_request_id"] is not None]
        slowest = max(timed, key=lambda row: row["slowest_ms"], default=None)
        yield {
            "resolution": "10_minutes",
            "bucket_start": start,
            **dict(zip(names, values, strict=True)),
            "latency_histogram": _merged_histogram(row["latency_histogram"] for row in members),
            "slowest_ms": slowest and slowest["slowest_ms"],
            "slowest_request_id": slowest and slowest["slowest_request_id"],
            "stamp": 0,
            **{
                name: sum(row[name] for row in members)
                for name in (
                    "requests",
                    "latency_sum_ms",
                    "cost_nanousd",
                    "prompt_tokens",
                    "completion_tokens",
                )
            },
        }


def _slot(minute: datetime) -> datetime:
    return minute.replace(minute=minute.minute - minute.minute % 10)


def _merged_histogram(stored: Iterator[bytes]) -> bytes:
    counts: Counter[int] = Counter()
    for one in stored:
        for bucket, count in _CELL.iter_unpack(one):
            counts[bucket] += count
    return b"".join(_CELL.pack(bucket, counts[bucket]) for bucket in sorted(counts))


def _fill_spend() -> None:
    slot = (
        "date_bin('10 minutes', bucket_start, '2000-01-01 00:00:00+00')"
        if _is_postgresql()
        else "substr(bucket_start, 1, 15) || '0:00.000000'"
    )
    op.execute(
        "INSERT INTO user_spend (resolution, bucket_start, user_id, requests, cost_nanousd)"  # noqa: S608
        f" SELECT '10_minutes', {slot}, user_id, sum(requests), sum(cost_nanousd)"
        " FROM user_spend WHERE resolution = 'minute' GROUP BY 2, 3"
    )


def _sqlite_triggers() -> Iterator[str]:
    """Count changes: writers of SQLite are serial, so that counts are in the order of commits."""
    for table, key in _TABLES.items():
        stamp = (
            "BEGIN UPDATE rollup_clock SET stamp = stamp + 1;"  # noqa: S608  names of ours
            f" UPDATE {table} SET stamp = (SELECT stamp FROM rollup_clock) WHERE id = NEW.id; END"
        )
        forget = "BEGIN UPDATE rollup_clock SET removals = removals + 1; END"
        yield f"CREATE TRIGGER stamp_new_{table} AFTER INSERT ON {table} {stamp}"
        # Not for the change of the stamp itself.
        changed = f"AFTER UPDATE ON {table} WHEN NEW.stamp = OLD.stamp"
        yield f"CREATE TRIGGER stamp_changed_{table} {changed} {stamp}"
        yield f"CREATE TRIGGER forget_{table} AFTER DELETE ON {table} {forget}"
        yield f"CREATE TRIGGER move_{table} AFTER UPDATE OF {key} ON {table} {forget}"


def _postgresql_triggers() -> Iterator[str]:
    yield (
        "CREATE FUNCTION stamp_rollup() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " NEW.stamp := pg_current_xact_id()::text::bigint; RETURN NEW; END $$"
    )
    yield (
        "CREATE FUNCTION forget_rollups() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE rollup_clock SET removals = removals + 1; RETURN NULL; END $$"
    )
    for table, key in _TABLES.items():
        yield (
            f"CREATE TRIGGER stamp_{table} BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION stamp_rollup()"
        )
        yield (
            f"CREATE TRIGGER forget_{table} AFTER DELETE OR TRUNCATE OR UPDATE OF {key} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION forget_rollups()"
        )


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
