"""What incident memory is rebuilt from: texts, embeddings and which index is active."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import PrimaryKey, Table, UtcDateTime


class MemoryEntry(Table):
    """The text and embedding of one resolved incident, under one embedding model and text recipe."""

    __tablename__ = "memory_entries"

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), unique=True)
    text: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    """SHA-256 of recipe, model and text: changes when any of them does."""
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    """Little-endian float32, as many as the model has dimensions."""
    model_id: Mapped[str] = mapped_column(String(200))
    weights_hash: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(50))
    embedded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MemoryIndex(Table):
    """A vector collection built from the entries; at most one is active."""

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
