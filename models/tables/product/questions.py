"""The log of questions, each with the manifest that replays its prompt."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, Money, PrimaryKey, Table, UtcDateTime


class Question(Table):
    """One question with its answer and cost. Token counts are None if no model was called."""

    __tablename__ = "questions"
    __table_args__ = (Index(None, "asked_at"),)

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(100), unique=True)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """Wall clock time; `as_of` is the moment the question is about."""
    asker: Mapped[str | None] = mapped_column(String(100))
    question: Mapped[str] = mapped_column(Text)
    as_of: Mapped[datetime] = mapped_column(UtcDateTime)
    manifest: Mapped[dict[str, Any]] = mapped_column(JsonDocument)
    answer: Mapped[str] = mapped_column(Text)
    stop_reason: Mapped[str | None] = mapped_column(String(50))
    no_model_reason: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(String(100))
    token_budget: Mapped[int] = mapped_column(BigInteger)
    token_bound: Mapped[int] = mapped_column(BigInteger)
    """Upper bound of the prompt's tokens, computed before the call."""
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    """Billed input tokens including cache reads and writes, to compare with `token_bound`."""
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal] = mapped_column("cost_nanousd", Money, default=Decimal(0))
    build_ms: Mapped[int] = mapped_column(BigInteger)
    latency_ms: Mapped[int] = mapped_column(BigInteger)
