"""The sources of incident memory: texts, embeddings, the registry of indexes, and the outbox."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class EntrySource(StrEnum):
    """The source of an entry's text."""

    INCIDENT = "incident"
    """The record of the incident."""
    POSTMORTEM = "postmortem"
    """The incident with cause and fix from its postmortem."""


class MemoryEntry(Table):
    """A text about one resolved incident and its embedding, under one embedding model and text recipe."""

    __tablename__ = "memory_entries"
    __table_args__ = (
        enum_check("source", EntrySource),
        UniqueConstraint(
            *("incident_id", "source", "model_id", "weights_hash", "recipe"),
            name="uq_memory_entries_one_of_each",
        ),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"))
    source: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    """SHA-256 of recipe, model and text: changes with any of them."""
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    """Little-endian float32, one per dimension of the model."""
    model_id: Mapped[str] = mapped_column(String(200))
    weights_hash: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(50))
    known_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the text became known: nothing earlier may recall it."""
    embedded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MemoryName(Table):
    """An identifier in the text of an entry, case-folded: `user_3fa2c1`, `v3.14.2`."""

    __tablename__ = "memory_names"
    __table_args__ = (Index(None, "entry_id"),)

    name: Mapped[str] = mapped_column(String(130), primary_key=True)
    known_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    """Copied from the entry: the newest of thousands before a moment are found without reading the others."""
    entry_id: Mapped[int] = mapped_column(
        ForeignKey("memory_entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


class MemoryIndex(Table):
    """A vector collection built from the entries; one is active, the others are kept for going back."""

    __tablename__ = "memory_indexes"
    __table_args__ = (
        Index(
            "uq_memory_indexes_active",
            "active",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    collection: Mapped[str] = mapped_column(String(100), unique=True)
    model_id: Mapped[str] = mapped_column(String(200))
    weights_hash: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(50))
    dimension: Mapped[int] = mapped_column(BigInteger)
    active: Mapped[bool] = mapped_column(Boolean(name="active_is_boolean"), default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    activated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it first served; None while it is being built, or if its build was killed."""
    dropped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was given up; a sync drops any copy of it that it finds."""


class MemoryOutbox(Table):
    """A change that memory has not processed yet.

    Triggers of the database add the rows, so that no writer can forget to. One of the two is set: an incident
    whose entries may be outdated, or the key of a row that the index has to add, change or remove.
    """

    __tablename__ = "memory_outbox"
    __table_args__ = (
        CheckConstraint("(incident_id IS NULL) <> (content_hash IS NULL)", name="one_of_both"),
        # A reused id would let one process acknowledge what another change has queued.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int | None] = mapped_column(BigInteger)
    """No foreign key: the incident may be gone, which is the change to process."""
    content_hash: Mapped[str | None] = mapped_column(String(64))
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
