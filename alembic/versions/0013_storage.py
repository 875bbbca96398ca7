"""storage: the minutes of a user's hour beside its sums, instead of a row for each; the tier in the log.

`arcpoint db upgrade` packs the days one by one, each in a transaction of its own, before this revision, and
removes the rows of minutes in batches after it. A service of the older release still reads meanwhile; stop
those that write, since what they add to a packed hour is in no minute of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_DAY = timedelta(days=1)
_ROWS_AT_ONCE = 20_000
_CELL = "json_build_array(minute, requests, failed, cost_nanousd)"
_MIDNIGHT = {"sqlite": "%Y-%m-%d 00:00:00.000000", "postgresql": "%Y-%m-%d 00:00:00+00"}


def upgrade() -> None:
    connection = op.get_bind()
    for day in prepare_batches(connection):
        prepare(connection, day)


def downgrade() -> None:
    connection = op.get_bind()
    is_postgresql = _is_postgresql(connection)
    cells, at, start, slot = (
        (
            "json_array_elements(minutes::json) AS cell (value)",
            "(value ->> {})::bigint",
            "bucket_start + (value ->> 0)::int * interval '1 minute'",
            "date_bin('10 minutes', bucket_start, '2000-01-01 00:00:00+00')",
        )
        if is_postgresql
        else (
            "json_each(minutes) AS cell",
            "json_extract(value, '$[{}]')",
            "substr(bucket_start, 1, 14) || printf('%02d', json_extract(value, '$[0]')) || ':00.000000'",
            "substr(bucket_start, 1, 15) || '0:00.000000'",
        )
    )
    op.execute("DELETE FROM user_spend WHERE resolution <> 'hour'")
    into = "INSERT INTO user_spend (resolution, bucket_start, user_id, requests, failed, cost_nanousd)"
    sums = ", ".join(at.format(place) for place in (1, 2, 3))
    # The colon of a minute is not the name of a bound value.
    connection.exec_driver_sql(
        f"{into} SELECT 'minute', {start}, user_id, {sums} FROM user_spend, {cells}"  # noqa: S608  names of ours
        " WHERE resolution = 'hour'"
    )
    connection.exec_driver_sql(
        f"{into} SELECT '10_minutes', {slot}, user_id, sum(requests), sum(failed), sum(cost_nanousd)"  # noqa: S608
        " FROM user_spend WHERE resolution = 'minute' GROUP BY 2, 3"
    )
    op.execute("ALTER TABLE user_spend DROP COLUMN minutes")
    op.execute("ALTER TABLE requests DROP COLUMN tier")
    _void_what_was_read(connection)


def prepare_batches(connection: Connection) -> Sequence[datetime]:
    """Add the columns, and return the days with hours that are not packed yet."""
    names = {column["name"] for column in sa.inspect(connection).get_columns("user_spend")}
    if "minutes" not in names:
        connection.execute(sa.text("ALTER TABLE user_spend ADD COLUMN minutes TEXT NOT NULL DEFAULT '[]'"))
        connection.execute(sa.text("ALTER TABLE requests ADD COLUMN tier VARCHAR(20)"))
    table = sa.Table("user_spend", sa.MetaData(), autoload_with=connection)
    unpacked = sa.and_(table.c.resolution == "hour", table.c.minutes == "[]")
    hours = connection.scalars(sa.select(table.c.bucket_start).where(unpacked).distinct())
    return sorted({hour.replace(hour=0) for hour in hours})


def prepare(connection: Connection, day: datetime) -> None:
    """Pack the hours of a day."""
    hour, minute, packed = (
        (
            "date_bin('1 hour', bucket_start, '2000-01-01 00:00:00+00')",
            "extract(minute FROM bucket_start)::int",
            f"replace(json_agg({_CELL} ORDER BY minute)::text, ' ', '')",
        )
        if _is_postgresql(connection)
        else (
            "substr(bucket_start, 1, 14) || '00:00.000000'",
            "CAST(substr(bucket_start, 15, 2) AS INTEGER)",
            "json_group_array(json_array(minute, requests, failed, cost_nanousd))",
        )
    )
    form = _MIDNIGHT[connection.dialect.name]
    first, last = f"{day:{form}}", f"{day + _DAY:{form}}"
    within = f"bucket_start >= '{first}' AND bucket_start < '{last}'"
    connection.exec_driver_sql(
        "UPDATE user_spend SET minutes = packed.minutes FROM ("  # noqa: S608  names of ours
        f"SELECT hour, user_id, {packed} AS minutes FROM (SELECT {hour} AS hour, user_id, {minute} AS minute,"
        f" requests, failed, cost_nanousd FROM user_spend WHERE resolution = 'minute' AND {within}"
        " ORDER BY 1, 2, 3) AS minutes GROUP BY 1, 2) AS packed"
        f" WHERE user_spend.resolution = 'hour' AND user_spend.{within.replace(' AND ', ' AND user_spend.')}"
        " AND user_spend.bucket_start = packed.hour AND user_spend.user_id = packed.user_id"
        " AND user_spend.minutes = '[]'"
    )


def clean_up(connection: Connection) -> bool:
    """Remove some rows that nothing reads any more; return whether there may be others."""
    table = sa.Table("user_spend", sa.MetaData(), autoload_with=connection)
    some = sa.select(table.c.id).where(table.c.resolution != "hour").limit(_ROWS_AT_ONCE)
    removed = connection.execute(sa.delete(table).where(table.c.id.in_(some)))
    return bool(removed.rowcount)


def _void_what_was_read(connection: Connection) -> None:
    connection.execute(sa.text("UPDATE rollup_clock SET removals = removals + 1"))


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
