"""days: the request log of PostgreSQL as a table of days, of which each is removed as a whole.

What is logged stays where it is: the table becomes the first partition, up to some days from now. Before that
it is read once, so that nobody has to wait meanwhile. On both databases the log refers to no other tables any
more; on SQLite the text of the schema changes, as its manual describes for constraints.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_DAY = timedelta(days=1)
_AHEAD = 7 * _DAY
"""Days from now in the first partition of a log with requests; an upgrade may be interrupted for so long."""
_EXPECTED = 92 * _DAY
"""Age of requests that may still come in: an empty log has partitions for those."""
_FIRST = "requests_before_"
_REFERENCES = (("user_id", "users"), ("deployment_id", "deployments"))
_INDEXES = (
    ("created_at",),
    ("deployment_id", "status", "created_at"),
    ("status", "created_at"),
    ("user_id", "created_at"),
)


def upgrade() -> None:
    connection = op.get_bind()
    for batch in prepare_batches(connection):
        prepare(connection, batch)
    if not _is_postgresql(connection):
        for column, other in _REFERENCES:
            _replace(f"{_reference(column, other)}, \n\t", "")
        return
    first = str(_bound(connection))
    for column, other in _REFERENCES:
        op.drop_constraint(_name(column, other), "requests", type_="foreignkey")
    for n, old in enumerate(("pk_requests", "uq_requests_public_id", *map(_index, _INDEXES))):
        op.execute(f"ALTER INDEX {old} RENAME TO {first}_{n}")
    op.execute(f"ALTER TABLE requests RENAME TO {first}")
    op.execute(
        f"CREATE TABLE requests (LIKE {first} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        " PARTITION BY RANGE (created_at)"
    )
    op.execute(f"ALTER TABLE requests DROP CONSTRAINT {first}")
    op.execute("ALTER SEQUENCE requests_id_seq OWNED BY requests.id")
    for columns in _INDEXES:
        op.create_index(_index(columns), "requests", list(columns))
    for statement in connection.scalars(sa.text(_GRANTS), {"first": first}).all():
        op.execute(statement)
    day = datetime.strptime(first.removeprefix(_FIRST), "%Y%m%d").date()  # noqa: DTZ007  a day
    op.execute(
        f"ALTER TABLE requests ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ('{day} 00:00:00+00')"
    )
    op.execute(f"ALTER TABLE {first} DROP CONSTRAINT {first}")
    op.execute(_HAS_DAY)
    connection.exec_driver_sql(_MAKE_DAYS.format(connection.scalar(sa.text("SELECT current_schema()"))))


_MAKE_DAYS = """
CREATE FUNCTION make_request_days(days date[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = "{0}", pg_temp AS $$
DECLARE
    day date;
    stamp text;
    of_day text;
BEGIN
    IF NOT has_table_privilege(
        coalesce(nullif(current_setting('role'), 'none'), session_user), 'requests', 'INSERT'
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table requests';
    END IF;
    FOREACH day IN ARRAY days LOOP
        stamp := to_char(day, 'YYYYMMDD');
        of_day := 'requests_' || stamp;
        CONTINUE WHEN has_request_day(of_day, stamp);
        LOCK TABLE ONLY requests IN SHARE UPDATE EXCLUSIVE MODE;
        CONTINUE WHEN has_request_day(of_day, stamp);
        IF to_regclass(of_day) IS NOT NULL THEN
            RAISE serialization_failure USING MESSAGE = of_day || ' is detached, and about to be removed';
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE requests INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', of_day);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id), ADD UNIQUE (public_id)', of_day);
        -- Made as a partition at once, it would lock out those who read the log.
        EXECUTE format(
            'ALTER TABLE requests ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            of_day, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00'
        );
    END LOOP;
END $$
"""
_HAS_DAY = """
CREATE FUNCTION has_request_day(of_day text, stamp text) RETURNS boolean LANGUAGE sql AS $$
SELECT EXISTS (
    SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'requests'::regclass AND NOT inhdetachpending AND (
        relname = of_day OR starts_with(relname, 'requests_before_') AND 'requests_before_' || stamp < relname
    )
)
$$
"""
_GRANTS = """
SELECT format('GRANT %s ON requests TO %s', string_agg(privilege_type, ', '),
    CASE grantee WHEN 'PUBLIC' THEN grantee ELSE quote_ident(grantee) END)
FROM information_schema.role_table_grants
WHERE table_schema = current_schema() AND table_name = :first AND grantee <> current_user GROUP BY grantee
"""


def downgrade() -> None:
    connection = op.get_bind()
    if not _is_postgresql(connection):
        for column, other in _REFERENCES:
            kept = "CONSTRAINT pk_requests PRIMARY KEY (id), \n\t"
            _replace(kept, f"{kept}{_reference(column, other)}, \n\t")
        return
    op.execute("LOCK TABLE requests")
    again = "SELECT public_id FROM requests GROUP BY public_id HAVING count(*) > 1 LIMIT 1"
    if (twice := connection.scalar(sa.text(again))) is not None:
        raise RuntimeError(f"{twice} names requests of several days; the older schema needs it to be one")
    op.execute("DROP FUNCTION make_request_days")
    op.execute("DROP FUNCTION has_request_day")
    op.execute("CREATE TABLE whole (LIKE requests INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    op.execute("INSERT INTO whole SELECT * FROM requests")
    op.execute("ALTER SEQUENCE requests_id_seq OWNED BY whole.id")
    op.execute("DROP TABLE requests")
    op.execute("ALTER TABLE whole RENAME TO requests")
    op.create_primary_key("pk_requests", "requests", ["id"])
    op.create_unique_constraint("uq_requests_public_id", "requests", ["public_id"])
    for columns in _INDEXES:
        op.create_index(_index(columns), "requests", list(columns))
    for column, other in _REFERENCES:
        op.create_foreign_key(_name(column, other), "requests", other, [column], ["id"])


def prepare_batches(connection: Connection) -> Sequence[str]:
    """Return what is to be done before the log can be attached; PostgreSQL has to know where it ends."""
    if not _is_postgresql(connection):
        return ()
    now = datetime.now(UTC)
    found = _bound(connection)
    if found is not None and found > f"{_FIRST}{now + _DAY:%Y%m%d}":
        return ("validate",)
    if found is not None:
        connection.execute(sa.text(f"ALTER TABLE requests DROP CONSTRAINT {found}"))
    return ("bound", "validate")


def prepare(connection: Connection, batch: str) -> None:
    """Say where the log ends; or read it once, which locks nobody out, to see that it is so."""
    if batch == "validate":
        connection.execute(sa.text(f"ALTER TABLE requests VALIDATE CONSTRAINT {_bound(connection)}"))
        return
    now, last = datetime.now(UTC), connection.scalar(sa.text("SELECT max(created_at) FROM requests"))
    bound = now - _EXPECTED if last is None else max(now, last) + _AHEAD
    connection.execute(
        sa.text(
            f"ALTER TABLE requests ADD CONSTRAINT {_FIRST}{bound:%Y%m%d}"
            f" CHECK (created_at < '{bound:%Y-%m-%d} 00:00:00+00') NOT VALID"
        )
    )


def clean_up(connection: Connection) -> bool:  # noqa: ARG001  nothing is left over
    return False


def _bound(connection: Connection) -> str | None:
    """Return the name of the constraint that says where the log ends."""
    named = "SELECT conname FROM pg_constraint WHERE conrelid = 'requests'::regclass AND conname LIKE :like"
    return connection.scalar(sa.text(named), {"like": f"{_FIRST}%"})


def _index(columns: Sequence[str]) -> str:
    return f"ix_requests_{'_requests_'.join(columns)}"


def _name(column: str, other: str) -> str:
    return f"fk_requests_{column}_{other}"


def _reference(column: str, other: str) -> str:
    return f"CONSTRAINT {_name(column, other)} FOREIGN KEY({column}) REFERENCES {other} (id)"


def _replace(old: str, new: str) -> None:
    """Change the definition of the log on SQLite."""
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new)"
            " WHERE type = 'table' AND name = 'requests' AND instr(sql, :old)"
        ),
        {"old": old, "new": new},
    )
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    if changed.rowcount != 1:
        raise RuntimeError(f"the definition of requests is not the one of this revision: no {old!r} in it")


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
