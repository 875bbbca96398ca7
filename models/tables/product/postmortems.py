"""Postmortems of incidents, and the model calls that write them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.gateway.review import Provenance, ReviewStatus
from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime, enum_check


class Postmortem(Table):
    """The postmortem of one incident, as Markdown."""

    __tablename__ = "postmortems"
    __table_args__ = (enum_check("status", ReviewStatus), enum_check("provenance", Provenance))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), unique=True)
    question_id: Mapped[int | None] = mapped_column(ForeignKey("questions.id"))
    """The logged question whose manifest replays the prompt."""
    status: Mapped[str] = mapped_column(String(20), default=ReviewStatus.DRAFT)
    provenance: Mapped[str] = mapped_column(String(20))
    """Who wrote the current text; an edit makes it human."""
    markdown: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    root_cause: Mapped[str | None] = mapped_column(Text)
    """Root cause from the document; memory may recall it, marked by status and provenance."""
    resolution: Mapped[str | None] = mapped_column(Text)
    """Resolution from the document; as `root_cause`."""
    template: Mapped[str | None] = mapped_column(String(100))
    """None: the text was imported, or written before templates existed."""
    incident_digest: Mapped[str | None] = mapped_column(String(64))
    """Digest of the incident when the text was written; if it differs now, the text is stale."""
    model: Mapped[str | None] = mapped_column(String(100))
    """None: no model was called."""
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money, default=Decimal(0))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a person last changed the text; runs never overwrite it afterwards."""
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reviewed_by: Mapped[str | None] = mapped_column(String(200))


class PostmortemBatch(Table):
    """One batch submitted to the Message Batches API."""

    __tablename__ = "postmortem_batches"

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    api_id: Mapped[str | None] = mapped_column(String(200), unique=True)
    """The API's id of the batch; None while it is undetermined whether the API accepted it."""
    model: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When all its results had been collected."""


class PostmortemCall(Table):
    """One incident whose postmortem is in progress: claimed, then built, sent and replied to.

    The row is deleted in the transaction that stores the postmortem.
    """

    __tablename__ = "postmortem_calls"
    __table_args__ = (
        CheckConstraint("(reply IS NULL) = (replied_at IS NULL)", name="reply_has_a_time"),
        Index(None, "batch_id"),
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), unique=True)
    custom_id: Mapped[str] = mapped_column(String(64), unique=True)
    """Unguessable id that maps a batch's result to its incident."""
    owner: Mapped[str] = mapped_column(String(200))
    """The process that owns it: `host:pid:start`."""
    leased_until: Mapped[datetime] = mapped_column(UtcDateTime)
    """End of the lease; then, or once its owner is dead, another process may take over."""
    worst_cost_usd: Mapped[Decimal] = mapped_column("worst_cost_nanousd", Money, default=Decimal(0))
    """Worst-case cost of the call."""
    template: Mapped[str | None] = mapped_column(String(100))
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """The manifest that the prompt was rendered from; None until it is built."""
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("postmortem_batches.id"))
    """None: a single call."""
    reply: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """The paid reply of the model, stored before anything else is done with it."""
    replied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(BigInteger, default=0)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
