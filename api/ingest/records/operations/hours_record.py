"""Operating hours of one weekday."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from api.ingest.records.fields import DayMinute, Name, Weekday
from api.ingest.records.parsing import parse_zone
from api.ingest.records.problems import ValueProblem, excerpt
from api.ingest.records.record import Record


class HoursRecord(Record):
    """A span of one weekday in which the site of a backend is open, in minutes of its local day."""

    kind: ClassVar[str] = "hours"

    backend: Name
    weekday: Weekday
    opens_minute: DayMinute
    closes_minute: DayMinute
    """Exclusive."""
    time_zone: Name

    @field_validator("closes_minute")
    @classmethod
    def _after_opening(cls, closes_minute: int, info: ValidationInfo) -> int:
        opens_minute = info.data.get("opens_minute")
        if opens_minute is not None and closes_minute <= opens_minute:
            accepted = "a span over midnight is two records"
            raise ValueProblem("not after opens_minute", f"{closes_minute} <= {opens_minute}; {accepted}")
        return closes_minute

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str) -> str:
        try:
            parse_zone(time_zone)
        except ValueError as error:
            raise ValueProblem("unknown time zone", str(error)) from None
        if "/" not in time_zone and time_zone != "UTC":
            raise ValueProblem(
                "not an IANA name", f"{excerpt(time_zone)}; expected UTC or one like Europe/Paris"
            )
        return time_zone
