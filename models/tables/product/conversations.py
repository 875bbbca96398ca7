"""Conversations that pass through the proxy: what was decided about each human turn, what replies used."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import JsonDocument, PrimaryKey, Table, UtcDateTime


class ConversationTurn(Table):
    """The decision about one human turn: what is inserted behind it on every request, or nothing.

    Nothing of what people or models said is stored, only digests of it.
    """

    __tablename__ = "conversation_turns"
    __table_args__ = (UniqueConstraint("credential", "prefix", "version"), Index(None, "conversation"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    credential: Mapped[str] = mapped_column(String(64))
    """Keyed digest of the client's credential."""
    prefix: Mapped[str] = mapped_column(String(32))
    """Digest of the messages up to the turn."""
    version: Mapped[int] = mapped_column(BigInteger, default=0)
    """Counts conversations that began with the same messages at times far apart."""
    conversation: Mapped[str] = mapped_column(String(24))
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
    text: Mapped[str | None] = mapped_column(Text)
    """What is inserted; None: nothing."""
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    """Upper bound of the text's tokens."""
    stated: Mapped[list[Any]] = mapped_column(JsonDocument)
    """What the conversation has been told of the gateway so far: source, identity and label of each."""
    kinds: Mapped[list[str]] = mapped_column(JsonDocument)
    """Kinds of the facts in the text."""
    reply: Mapped[str | None] = mapped_column(String(32))
    """Digest of the messages up to the one behind the turn; None until it was seen."""
    cuts: Mapped[list[Any]] = mapped_column(JsonDocument)
    """What was left out since this turn, each as it was decided."""
    recalled: Mapped[list[int]] = mapped_column(JsonDocument)
    """Indices of messages that were left out and are quoted behind the turn."""
    cut_count: Mapped[int] = mapped_column(BigInteger, default=0)
    """Length of `cuts`, which a worker compares before it adds one."""


class ConversationFact(Table):
    """How often facts of one kind were inserted into a conversation, and how often a reply used them."""

    __tablename__ = "conversation_facts"
    __table_args__ = (UniqueConstraint("conversation", "kind"), Index(None, "credential"))

    id: Mapped[int] = mapped_column(PrimaryKey, primary_key=True)
    credential: Mapped[str] = mapped_column(String(64))
    conversation: Mapped[str] = mapped_column(String(24))
    kind: Mapped[str] = mapped_column(String(100))
    """Source and role of the fact: `health.state`."""
    shown: Mapped[int] = mapped_column(BigInteger, default=0)
    used: Mapped[int] = mapped_column(BigInteger, default=0)
