"""The audit trail: who did what with this product, in rows that chain by hash and that nothing may change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.tables.schema import PrimaryKey, Table, UtcDateTime, enum_check


class AuditOutcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was done: the caller may not do it, or asked for something impossible."""
    FAILED = "failed"
    """It broke off: an error of ours, or a client that did not wait for the end."""


class AuditEntry(Table):
    """One action. Triggers refuse to change or delete a row, and to insert one that does not follow the last.

    Actions are not listed in a CHECK: a longer list would mean rebuilding a table that must not change.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (enum_check("outcome", AuditOutcome), Index(None, "at"))

    sequence: Mapped[int] = mapped_column(PrimaryKey, primary_key=True, autoincrement=False)
    """From 1, without gaps."""
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    caller: Mapped[str] = mapped_column(String(200))
    """`key:ci`, `person:ann@example.org`, `loopback`, or `local:ann` for a command or a program."""
    key_id: Mapped[int | None] = mapped_column(BigInteger)
    """Of the caller's API key. No foreign key: entries outlive what they are about."""
    action: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(200))
    """Id of what was acted on."""
    outcome: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(Text)
    """A JSON object as text, since the hash covers its bytes."""
    previous: Mapped[str] = mapped_column(String(64))
    """`hash` of the entry before; zeros for the first."""
    hash: Mapped[str] = mapped_column(String(64))
