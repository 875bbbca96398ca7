"""One line of an error log."""

from __future__ import annotations

from typing import Annotated, ClassVar

from api.ingest.records.fields import AnyCase, LongText, Target, UtcTime
from api.ingest.records.record import Record
from models import LogSeverity


class ErrorRecord(Record):
    """A log line of severity warning or worse."""

    kind: ClassVar[str] = "errors"
    time_field: ClassVar[str] = "logged_at"

    logged_at: UtcTime
    severity: Annotated[LogSeverity, AnyCase] = LogSeverity.ERROR
    target: Target
    message: LongText
