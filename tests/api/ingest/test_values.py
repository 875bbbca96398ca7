"""A text becomes exactly the value that is meant, or a reason that names what is accepted."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ingest.errors import MappingError, RowRejected, ZoneOrUnitMissing
from api.ingest.fields import INCIDENTS, REQUESTS
from api.ingest.values import EARLIEST, LATEST, Reading

FIELDS = {field.name: field.type for kind in (REQUESTS, INCIDENTS) for field in kind.fields}


def read(field: str, text: str, **reading: Any) -> object:
    return FIELDS[field].converter(Reading(**reading))(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reading", "expected"),
    [
        ("2024-11-15 16:57:50", {"zone": UTC}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        ("2024-11-15T16:57:50.123456Z", {}, datetime(2024, 11, 15, 16, 57, 50, 123456, tzinfo=UTC)),
        ("2024-11-15 16:57:50+02:00", {"zone": UTC}, datetime(2024, 11, 15, 14, 57, 50, tzinfo=UTC)),
        ("2024-11-15 16:57:50 UTC", {}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        ("2024-07-01 12:00", {"zone": ZoneInfo("Europe/Paris")}, datetime(2024, 7, 1, 10, tzinfo=UTC)),
        ("2024-07-01", {"zone": timezone(timedelta(hours=2))}, datetime(2024, 6, 30, 22, tzinfo=UTC)),
        ("1731689870", {"unit": "s"}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        ("1731689870.25", {"unit": "s"}, datetime(2024, 11, 15, 16, 57, 50, 250000, tzinfo=UTC)),
        ("1731689870123", {"unit": "ms"}, datetime(2024, 11, 15, 16, 57, 50, 123000, tzinfo=UTC)),
        ("1.731689870123e12", {"unit": "ms"}, datetime(2024, 11, 15, 16, 57, 50, 123000, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_form_and_zone(
    text: str, reading: dict[str, object], expected: object
) -> None:
    """ISO text and numbers since 1970 give the same instants, in UTC."""
    assert read("created_at", text, **reading) == expected


@given(st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None) - timedelta(seconds=1)))
def test_a_time_survives_every_way_of_writing_it(moment: datetime) -> None:
    """Microseconds and zone come back exactly from ISO text and from microseconds since 1970."""
    aware = moment.replace(tzinfo=UTC)
    microseconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read("created_at", aware.isoformat()) == aware
    assert read("created_at", str(microseconds), unit="us") == aware


@pytest.mark.parametrize("text", ["2024-11-15 16:57:50", "1731689870", "20241115"])
def test_a_time_that_leaves_zone_or_unit_open_is_not_guessed(text: str) -> None:
    """A naive time without a stated zone and a number without a unit say what to state."""
    with pytest.raises(ZoneOrUnitMissing, match=r'zone = "UTC"|unit = "s"'):
        read("created_at", text)


@pytest.mark.parametrize(
    ("field", "text", "reading", "expected"),
    [
        ("latency_ms", "32.0", {"unit": "s"}, 32000),
        ("latency_ms", "0.0005", {"unit": "s"}, 0),
        ("latency_ms", "0.0015", {"unit": "s"}, 2),
        ("latency_ms", "-0.0", {}, 0),
        ("latency_ms", "1500", {"unit": "us"}, 2),
        ("latency_ms", "2678400000", {}, 2678400000),
        ("cost_usd", "0.1", {}, Decimal("0.1")),
        ("cost_usd", "1e-9", {}, Decimal("0.000000001")),
        ("cost_usd", "12.5", {"unit": "cent"}, Decimal("0.125")),
        ("prompt_tokens", "63.0", {}, 63),
        ("status", "Success", {}, "success"),
        ("user", "=cmd|'/c calc'!A0", {}, "=cmd|'/c calc'!A0"),
        ("user", "مستخدم\u202e👩‍👩‍👧", {}, "مستخدم\u202e👩‍👩‍👧"),
        ("user", "x" * 100, {}, "x" * 100),
        ("routing_reason", '{"rule": "cheapest", "score": 0.5}', {}, {"rule": "cheapest", "score": 0.5}),
        ("routing_reason", '{"path": "C:\\\\u0000"}', {}, {"path": "C:\\u0000"}),
    ],
)
def test_values_are_exact(field: str, text: str, reading: dict[str, object], expected: object) -> None:
    """Units convert without floating-point error; text stays what it is."""
    assert read(field, text, **reading) == expected


@pytest.mark.parametrize(
    ("field", "text", "reading", "reason"),
    [
        ("latency_ms", "-5", {}, "negative"),
        ("latency_ms", "-0.004", {"unit": "s"}, "negative"),
        ("latency_ms", "nan", {}, "not a number"),
        ("latency_ms", "Infinity", {}, "not a number"),
        ("latency_ms", "1_000", {}, "not a number"),
        ("latency_ms", "1,000", {}, "not a number"),
        ("latency_ms", "٣", {}, "not a number"),
        ("latency_ms", "1e999999999", {}, "not a number"),
        ("latency_ms", "9" * 5000, {}, "not a number"),
        ("latency_ms", "1e9999", {}, "too large.*2,678,400,000 ms"),
        ("latency_ms", "1731689870123", {}, "too large"),
        ("cost_usd", "1e300", {}, "too large.*10,000 usd"),
        ("prompt_tokens", "63.5", {}, "not a whole number"),
        ("created_at", "yesterday", {}, "not a time.*ISO 8601"),
        ("created_at", "2024-13-45 00:00:00", {"zone": UTC}, "not a time"),
        ("created_at", "0001-01-01T00:00:00+14:00", {}, "out of range"),
        ("created_at", "9999-12-31T23:59:59-14:00", {}, "out of range"),
        ("created_at", "1731689870123", {"unit": "s"}, "out of range.*unit"),
        ("created_at", "1731689870", {"unit": "ms"}, "out of range.*unit"),
        ("created_at", "1e9999", {"unit": "s"}, "out of range"),
        ("created_at", "NaN", {"unit": "s"}, "not a number"),
        ("status", "SUCCEED", {}, "unknown value.*success, error, timeout, rate_limited, pending"),
        ("user", "x" * 101, {}, "too long.*101 characters.*100"),
        ("user", "a\0b", {}, "unstorable"),
        ("user", "a\ud800b", {}, "unstorable"),
        ("routing_reason", "[1]", {}, "not a JSON object"),
        ("routing_reason", "{", {}, "not JSON"),
        ("routing_reason", '{"a": NaN}', {}, "not JSON"),
        ("routing_reason", '{"a": 1e999}', {}, "not JSON"),
        ("routing_reason", '{"a": "\\u0000"}', {}, "can be stored"),
        ("routing_reason", '{"a": "\\ud800"}', {}, "can be stored"),
        ("routing_reason", "[" * 9000, {}, "not JSON"),
    ],
)
def test_a_bad_value_is_rejected_with_what_would_be_accepted(
    field: str, text: str, reading: dict[str, object], reason: str
) -> None:
    """Nothing that the database could not hold, or that means nothing, gets through."""
    with pytest.raises(RowRejected) as rejected:
        read(field, text, **reading)
    assert re.search(reason, rejected.value.reason)
    assert len(rejected.value.reason) < 300


@given(st.sampled_from(sorted(FIELDS)), st.text())
def test_any_text_is_a_value_or_a_rejection(field: str, text: str) -> None:
    """No text whatever raises anything else."""
    with suppress(RowRejected):
        assert read(field, text) is not None


def test_a_unit_that_a_field_has_not_is_an_error_of_the_mapping() -> None:
    """Wrong units are found before any row is read, and the accepted ones are listed."""
    with pytest.raises(MappingError, match="unknown unit 'h'; accepted are ms, s, us, ns"):
        FIELDS["latency_ms"].converter(Reading(unit="h"))
    with pytest.raises(MappingError, match="unknown unit 'days'; accepted are s, ms, us"):
        FIELDS["created_at"].converter(Reading(unit="days"))
    for field in ("user", "status", "prompt_tokens", "routing_reason"):
        with pytest.raises(MappingError, match="no unit"):
            FIELDS[field].converter(Reading(unit="s"))
