"""Postmortems of incidents, and the model calls on the way to them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.gateway.review import Provenance, ReviewStatus
from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime, one_of


class Postmortem(Table):
    """The postmortem of one incident, as Markdown."""

    __tablename__ = "postmortems"
    __table_args__ = (one_of("status", ReviewStatus), one_of("provenance", Provenance))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), unique=True)
    question_id: Mapped[int | None] = mapped_column(ForeignKey("questions.id"))
    """The logged question whose manifest replays the prompt."""
    status: Mapped[str] = mapped_column(String(20), default=ReviewStatus.DRAFT)
    provenance: Mapped[str] = mapped_column(String(20))
    """Who wrote the text as it is now: an edit makes it human."""
    markdown: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    root_cause: Mapped[str | None] = mapped_column(Text)
    """What the document says of it; what memory may recall, marked by status and provenance."""
    resolution: Mapped[str | None] = mapped_column(Text)
    """Likewise."""
    template: Mapped[str | None] = mapped_column(String(100))
    """None: the text was imported or written before there were templates."""
    incident_digest: Mapped[str | None] = mapped_column(String(64))
    """Of the incident as it was when the text was written; another one now makes the text stale."""
    model: Mapped[str | None] = mapped_column(String(100))
    """None: no model was called."""
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money, default=Decimal(0))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a person last changed the text; from then on no run replaces it."""
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reviewed_by: Mapped[str | None] = mapped_column(String(200))


class PostmortemBatch(Table):
    """One batch handed to the Message Batches API."""

    __tablename__ = "postmortem_batches"

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    api_id: Mapped[str | None] = mapped_column(String(200), unique=True)
    """The API's name for it; None while nobody knows whether the API took it."""
    model: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its results had all been collected."""


class PostmortemCall(Table):
    """One incident on its way to a postmortem: claimed, then built, sent and replied to.

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
    """Unguessable; by it a batch's result finds its incident."""
    owner: Mapped[str] = mapped_column(String(200))
    """The process that works on it: `host:pid:start`."""
    leased_until: Mapped[datetime] = mapped_column(UtcDateTime)
    """From then on, or once its owner is dead, another process may take it over."""
    worst_cost_usd: Mapped[Decimal] = mapped_column("worst_cost_nanousd", Money, default=Decimal(0))
    """The most that the call can cost."""
    template: Mapped[str | None] = mapped_column(String(100))
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """What the prompt was rendered from; None until it is built."""
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("postmortem_batches.id"))
    """None: a call of its own."""
    reply: Mapped[dict[str, Any] | None] = mapped_column(JsonDocument)
    """What the model answered, which is paid for: stored before anything else is done with it."""
    replied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(BigInteger, default=0)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
