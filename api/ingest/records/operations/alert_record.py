"""One report about an alert."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from api.ingest.records.fields import AnyCase, LongText, Target, Title, UtcTime, storable
from api.ingest.records.record import Record
from models import Severity


class AlertStatus(StrEnum):
    """What a report says of its alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class AlertRecord(Record):
    """An alert that fires or was resolved; incidents are derived from such reports, whatever their order."""

    kind: ClassVar[str] = "alerts"
    time_field: ClassVar[str] = "starts_at"

    alert: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(storable)]
    """The same for every report about one alert: its origin and fingerprint, as in `am_6fba3989e80ff9bc`."""
    status: Annotated[AlertStatus, AnyCase]
    starts_at: UtcTime
    ends_at: UtcTime | None = None
    """Of a resolved alert; None: when it was reported."""
    title: Title
    symptoms: Annotated[LongText, BeforeValidator(lambda text: text or "")] = ""
    target: Target | None = None
    severity: Annotated[Severity, AnyCase] = Severity.MEDIUM
