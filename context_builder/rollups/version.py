"""The version of the database that a snapshot shows, as far as rollups are concerned."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from models.database import ReadSession

_SQLITE = text("SELECT stamp + 1, removals FROM rollup_clock")
_POSTGRESQL = text(
    "SELECT pg_snapshot_xmax(seen)::text::bigint,"
    " ARRAY(SELECT running::text::bigint FROM pg_snapshot_xip(seen) AS running),"
    " pg_is_in_recovery(), pg_postmaster_start_time(), pg_database.oid::bigint, removals"
    " FROM rollup_clock, pg_database, pg_current_snapshot() AS seen WHERE datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class DatabaseVersion:
    """Which stamps a snapshot sees: those below `end`, without those of transactions still running then."""

    origin: tuple[object, ...]
    """Changes are known only between two versions of one origin."""
    end: int
    running: frozenset[int] = frozenset()

    def follows(self, other: DatabaseVersion) -> bool:
        """Return whether this version is known to show everything that the other one shows."""
        return (
            self.origin == other.origin
            and self.end >= other.end
            and {stamp for stamp in self.running if stamp < other.end} <= other.running
        )

    def changed_since(self, other: DatabaseVersion) -> str:
        """Return the SQL condition for rows that an earlier version shows otherwise, or not at all.

        Stamps from `end` on are those of another server that the database was restored from: they have
        not changed here.
        """
        late = f" OR stamp IN ({', '.join(map(str, sorted(other.running)))})" if other.running else ""
        return f"(stamp >= {other.end}{late}) AND stamp < {self.end}"


async def read_version(session: ReadSession) -> DatabaseVersion:
    """Load the version that a session's snapshot shows."""
    if session.get_bind().dialect.name == "sqlite":
        end, removals = (await session.execute(_SQLITE)).one()
        return DatabaseVersion((removals,), end)
    end, running, is_standby, *origin = (await session.execute(_POSTGRESQL)).one()
    # A standby does not know which transactions were running on its primary.
    return DatabaseVersion((*origin, object() if is_standby else None), end, frozenset(running))
