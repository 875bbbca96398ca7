"""One notification."""

from __future__ import annotations

from typing import Annotated, ClassVar

from api.ingest.records.fields import AnyCase, LongText, Name, Target, UtcTime
from api.ingest.records.record import Record
from models import NotificationStatus


class NotificationRecord(Record):
    """An alert that was sent to somebody, or failed to be."""

    kind: ClassVar[str] = "notifications"
    time_field: ClassVar[str] = "created_at"

    created_at: UtcTime
    provider: Name
    channel: Target
    subject: LongText
    status: Annotated[NotificationStatus, AnyCase] = NotificationStatus.SENT
    error: LongText | None = None
    incident: Name | None = None
    """Id of the incident that it is about."""
    target: Target | None = None
    """The deployment that it is about."""
