"""Requests for messages that the proxy forwarded, and those of which a broker has not been told."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime


class ProxyCall(Table):
    """One request for a message, with how it ended; once forwarded, it is in the request log, too."""

    __tablename__ = "proxy_calls"
    __table_args__ = (Index(None, "conversation", "received_at"), Index(None, "received_at"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    request_id: Mapped[str] = mapped_column(String(100), unique=True)
    """Public id of the request, here and in the request log."""
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    conversation: Mapped[str | None] = mapped_column(String(100))
    """None: the body was not one that can be read."""
    turn: Mapped[str | None] = mapped_column(String(100))
    """Digest of the conversation up to and including the newest human turn."""
    user: Mapped[str | None] = mapped_column("user_name", String(100))
    """Public id of the user; None: it ended before its sender was known."""
    model: Mapped[str] = mapped_column(String(100))
    upstream: Mapped[str | None] = mapped_column(String(100))
    """None: it was never forwarded."""
    state: Mapped[str] = mapped_column(String(20))
    """How it ended: a final state of the proxy's life cycle."""
    transitions: Mapped[list[Any]] = mapped_column(JsonDocument)
    """State, milliseconds since the request came, and a detail, of each step."""
    changes: Mapped[list[Any]] = mapped_column(JsonDocument)
    """What was changed in the request, in words."""
    attempts: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[int | None] = mapped_column(BigInteger)
    """What the client was sent; None: it was gone before."""
    stop_reason: Mapped[str | None] = mapped_column(String(100))
    error: Mapped[str | None] = mapped_column(Text)
    """The API's type of the error with its message, or how the request ended."""
    latency_ms: Mapped[float] = mapped_column(Float)
    first_byte_ms: Mapped[float | None] = mapped_column(Float)
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    """Billed in full: neither read from the prompt cache nor written to it."""
    cache_read_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_write_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money, default=Decimal(0))
    upstream_request_id: Mapped[str | None] = mapped_column(String(200))


class ProxyOutbox(Table):
    """An event of the proxy that the broker has not confirmed yet; removed once it has."""

    __tablename__ = "proxy_outbox"
    __table_args__ = (
        # A reused id would let one worker remove what another has queued.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    subject: Mapped[str] = mapped_column(String(100))
    """Where the broker delivers it."""
    payload: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime)
