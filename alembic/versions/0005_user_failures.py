"""failed requests by user and bucket, counted from the requests that are still there.

A bucket counts only what the log still has: where its requests were deleted, all or some, their failures are
not known any more, and the count is 0 or too small. Services of an older release that still write are not
counted either; stop them first.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FAILED = "'error', 'timeout', 'rate_limited'"
_POSTGRESQL_WIDTHS = {"minute": "1 minute", "10_minutes": "10 minutes", "hour": "1 hour"}
_SQLITE_WIDTHS = {"minute": 16, "10_minutes": 15, "hour": 13}
"""How many characters the start of a bucket has of a moment in it; the others are those of midnight."""


def upgrade() -> None:
    op.add_column("user_spend", sa.Column("failed", sa.BigInteger(), nullable=False, server_default="0"))
    for resolution, start in _bucket_starts():
        op.execute(
            "UPDATE user_spend SET failed = counted.failed FROM ("  # noqa: S608  names of ours
            f"SELECT user_id, {start} AS bucket_start, count(*) AS failed FROM requests"
            f" WHERE status IN ({_FAILED}) GROUP BY 1, 2) AS counted"
            f" WHERE user_spend.resolution = '{resolution}' AND user_spend.user_id = counted.user_id"
            " AND user_spend.bucket_start = counted.bucket_start"
        )
    _void_what_was_read()


def downgrade() -> None:
    # Not as a batch: on SQLite that copies the table, and the copy has none of the triggers.
    op.execute("ALTER TABLE user_spend DROP COLUMN failed")
    _void_what_was_read()


def _bucket_starts() -> Iterator[tuple[str, str]]:
    """Yield each resolution, and the SQL for the start of a request's bucket."""
    if op.get_bind().dialect.name == "postgresql":
        for resolution, width in _POSTGRESQL_WIDTHS.items():
            yield resolution, f"date_bin('{width}', created_at, '2000-01-01 00:00:00+00')"
        return
    # By characters: the functions of SQLite round to milliseconds, 59.999999 seconds to the next minute.
    for resolution, length in _SQLITE_WIDTHS.items():
        rest = f"substr('0000-00-00 00:00:00.000000', {length + 1})"
        yield resolution, f"substr(created_at, 1, {length}) || {rest}"


def _void_what_was_read() -> None:
    """Make every service load its rollups again: stamps are only of the rows with failures."""
    op.execute("UPDATE rollup_clock SET removals = removals + 1")
