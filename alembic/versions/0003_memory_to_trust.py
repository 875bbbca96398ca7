"""memory to trust: provenance and review, an outbox filled by triggers, calls on the way to postmortems."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_IDENTIFIER = re.compile(r"\b(?=[\w.-]*\d)(?=[\w.-]*[^\W\d_])[\w.-]{5,64}\b|\b\w{1,32}_\w{1,32}\b")
_PROVENANCE = "provenance IN ('human', 'model', 'import', 'code')"

_INCIDENT_COLUMNS = (
    "title, symptoms, target, status, started_at, resolved_at, root_cause, resolution, review, forgotten_at"
)
_POSTMORTEM_COLUMNS = "status, provenance, root_cause, resolution, created_at, edited_at, reviewed_at"
_ENTRY_COLUMNS = "content_hash, known_at"


def upgrade() -> None:
    _add_to_incidents()
    _add_to_postmortems()
    _add_to_entries()
    _create_names()
    _create_outbox()
    _create_calls()
    for statement in _triggers():
        op.execute(statement)
    # What an older version has left out of memory is found by going through all of it once.
    op.execute(
        "INSERT INTO memory_outbox (incident_id, queued_at)"
        " SELECT id, CURRENT_TIMESTAMP FROM incidents WHERE status = 'resolved' ORDER BY id"
    )


def downgrade() -> None:
    for table, name, _, _ in _events():
        op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if _is_postgresql() else ""))
    if _is_postgresql():
        for table in _QUEUED:
            op.execute(f"DROP FUNCTION {_function(table)}()")
    op.drop_table("postmortem_calls")
    op.drop_table("postmortem_batches")
    op.drop_table("memory_outbox")
    op.drop_column("memory_indexes", "dropped_at")
    op.drop_column("memory_indexes", "activated_at")
    op.drop_table("memory_names")
    op.execute("DELETE FROM memory_entries")  # derived: the older version makes them again
    with op.batch_alter_table("memory_entries") as batch:
        batch.drop_constraint("uq_memory_entries_one_of_each", type_="unique")
        batch.drop_constraint(op.f("ck_memory_entries_source_known"), type_="check")
        batch.drop_column("source")
        batch.drop_column("known_at")
        batch.create_unique_constraint(op.f("uq_memory_entries_incident_id"), ["incident_id"])
    with op.batch_alter_table("postmortems") as batch:
        batch.drop_constraint(op.f("ck_postmortems_provenance_known"), type_="check")
        for column in (
            *("provenance", "root_cause", "resolution", "template", "incident_digest"),
            *("edited_at", "reviewed_at", "reviewed_by"),
        ):
            batch.drop_column(column)
    for column in ("provenance", "review", "forgotten_at"):
        op.drop_column("incidents", column)


def _add_to_incidents() -> None:
    """Column by column: other tables refer to this one, so SQLite must not rebuild it."""
    op.add_column(
        "incidents",
        sa.Column(
            "provenance",
            sa.String(length=20),
            sa.CheckConstraint(_PROVENANCE, name=op.f("ck_incidents_provenance_known")),
            nullable=False,
            server_default="human",
        ),
    )
    op.add_column(
        "incidents",
        sa.Column(
            "review",
            sa.String(length=20),
            sa.CheckConstraint(
                "review IN ('draft', 'approved', 'rejected')", name=op.f("ck_incidents_review_known")
            ),
            nullable=False,
            server_default="approved",
        ),
    )
    op.add_column("incidents", sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True))


def _add_to_postmortems() -> None:
    with op.batch_alter_table("postmortems") as batch:
        batch.add_column(sa.Column("provenance", sa.String(length=20), nullable=True))
        batch.add_column(sa.Column("root_cause", sa.Text(), nullable=True))
        batch.add_column(sa.Column("resolution", sa.Text(), nullable=True))
        batch.add_column(sa.Column("template", sa.String(length=100), nullable=True))
        batch.add_column(sa.Column("incident_digest", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("reviewed_by", sa.String(length=200), nullable=True))
    op.execute("UPDATE postmortems SET provenance = CASE WHEN model IS NULL THEN 'code' ELSE 'model' END")
    with op.batch_alter_table("postmortems") as batch:
        batch.alter_column("provenance", existing_type=sa.String(length=20), nullable=False)
        batch.create_check_constraint(op.f("ck_postmortems_provenance_known"), _PROVENANCE)


def _add_to_entries() -> None:
    with op.batch_alter_table("memory_entries") as batch:
        batch.add_column(sa.Column("source", sa.String(length=20), nullable=True))
        batch.add_column(sa.Column("known_at", sa.DateTime(timezone=True), nullable=True))
    # Entries of incidents that have been reopened since are made again when they are over.
    op.execute(
        "DELETE FROM memory_entries WHERE incident_id IN (SELECT id FROM incidents WHERE resolved_at IS NULL)"
    )
    op.execute(
        "UPDATE memory_entries SET source = 'incident',"
        " known_at = (SELECT resolved_at FROM incidents WHERE incidents.id = memory_entries.incident_id)"
    )
    with op.batch_alter_table("memory_entries") as batch:
        batch.alter_column("source", existing_type=sa.String(length=20), nullable=False)
        batch.alter_column("known_at", existing_type=sa.DateTime(timezone=True), nullable=False)
        batch.create_check_constraint(
            op.f("ck_memory_entries_source_known"), "source IN ('incident', 'postmortem')"
        )
        batch.drop_constraint(op.f("uq_memory_entries_incident_id"), type_="unique")
        batch.create_unique_constraint(
            "uq_memory_entries_one_of_each", ["incident_id", "source", "model_id", "weights_hash", "recipe"]
        )


def _create_names() -> None:
    op.create_table(
        "memory_names",
        sa.Column("name", sa.String(length=130), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", _KEY, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["memory_entries.id"],
            name=op.f("fk_memory_names_entry_id_memory_entries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("name", "known_at", "entry_id", name=op.f("pk_memory_names")),
    )
    op.create_index(op.f("ix_memory_names_entry_id"), "memory_names", ["entry_id"], unique=False)
    names = sa.table("memory_names", sa.column("name"), sa.column("known_at"), sa.column("entry_id"))
    connection = op.get_bind()
    entries = connection.execute(sa.text("SELECT id, text, known_at FROM memory_entries")).all()
    for entry_id, text, known_at in entries:
        found = [{"name": name, "known_at": known_at, "entry_id": entry_id} for name in _names(text)]
        if found:
            connection.execute(names.insert(), found)


def _names(text: str) -> list[str]:
    """As memory/lexical_candidates.py finds them when this was written."""
    found = list(dict.fromkeys(_IDENTIFIER.findall(text[:7_200].casefold())))
    parts = [part for one in found for part in re.split("[._-]+", one) if _IDENTIFIER.fullmatch(part)]
    return list(dict.fromkeys([*found, *parts]))[:60]


def _create_outbox() -> None:
    op.add_column("memory_indexes", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("memory_indexes", sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE memory_indexes SET activated_at = created_at")
    # The older version has dropped what does not serve.
    op.execute("UPDATE memory_indexes SET dropped_at = created_at WHERE NOT active")
    op.create_table(
        "memory_outbox",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=True),
        sa.Column("content_hash", sa.String(length=64), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(incident_id IS NULL) <> (content_hash IS NULL)", name=op.f("ck_memory_outbox_one_of_both")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_outbox")),
        sqlite_autoincrement=True,
    )


def _create_calls() -> None:
    op.create_table(
        "postmortem_batches",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("api_id", sa.String(length=200), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postmortem_batches")),
        sa.UniqueConstraint("api_id", name=op.f("uq_postmortem_batches_api_id")),
    )
    op.create_table(
        "postmortem_calls",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("incident_id", _KEY, nullable=False),
        sa.Column("custom_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worst_cost_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("template", sa.String(length=100), nullable=True),
        sa.Column("manifest", _json(), nullable=True),
        sa.Column("batch_id", _KEY, nullable=True),
        sa.Column("reply", _json(), nullable=True),
        sa.Column("replied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(reply IS NULL) = (replied_at IS NULL)", name=op.f("ck_postmortem_calls_reply_has_a_time")
        ),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_postmortem_calls_incident_id_incidents")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["postmortem_batches.id"],
            name=op.f("fk_postmortem_calls_batch_id_postmortem_batches"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postmortem_calls")),
        sa.UniqueConstraint("incident_id", name=op.f("uq_postmortem_calls_incident_id")),
        sa.UniqueConstraint("custom_id", name=op.f("uq_postmortem_calls_custom_id")),
    )
    op.create_index(op.f("ix_postmortem_calls_batch_id"), "postmortem_calls", ["batch_id"], unique=False)


def _json() -> sa.types.TypeEngine[object]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


_QUEUED = {
    "incidents": ("incident_id", "id"),
    "postmortems": ("incident_id", "incident_id"),
    "memory_entries": ("content_hash", "content_hash"),
}
"""Tables whose changes memory has to take in: the column of the outbox, and what of the row goes into it."""

_WATCHED = {
    "incidents": _INCIDENT_COLUMNS,
    "postmortems": _POSTMORTEM_COLUMNS,
    "memory_entries": _ENTRY_COLUMNS,
}


def _events() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Table, trigger, event and the versions of the row that matter to it."""
    for table, columns in _WATCHED.items():
        versions = ("OLD", "NEW") if table == "memory_entries" else ("NEW",)
        yield table, f"remember_new_{table}", "INSERT", ("NEW",)
        yield table, f"remember_changed_{table}", f"UPDATE OF {columns}", versions
        yield table, f"remember_deleted_{table}", "DELETE", ("OLD",)


def _triggers() -> Iterator[str]:
    if _is_postgresql():
        for table in _QUEUED:
            yield _postgresql_function(table)
    for table, name, event, versions in _events():
        if _is_postgresql():
            yield (
                f"CREATE TRIGGER {name} AFTER {event} ON {table}"
                f" FOR EACH ROW EXECUTE FUNCTION {_function(table)}()"
            )
        else:
            queue = " ".join(_queue(table, version) for version in versions)
            yield f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {queue} END"


def _postgresql_function(table: str) -> str:
    old, new = _queue(table, "OLD"), _queue(table, "NEW")
    updated = f"{old} {new}" if table == "memory_entries" else new
    return (
        f"CREATE FUNCTION {_function(table)}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'DELETE' THEN {old}"
        f" ELSIF TG_OP = 'UPDATE' THEN {updated}"
        f" ELSE {new} END IF; RETURN NULL; END $$"
    )


def _queue(table: str, version: str) -> str:
    column, of_row = _QUEUED[table]
    return (
        f"INSERT INTO memory_outbox ({column}, queued_at)"  # noqa: S608  names of ours
        f" VALUES ({version}.{of_row}, CURRENT_TIMESTAMP);"
    )


def _function(table: str) -> str:
    return f"remember_{table}"


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
