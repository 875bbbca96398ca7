"""A value becomes exactly what is meant, or a problem that names what is accepted."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.ingest.records import (
    IncidentRecord,
    Notation,
    ParseOptions,
    Record,
    RecordInvalid,
    RequestRecord,
    parse_record,
    parse_zone,
)
from api.ingest.records.parsing import MAX_TIME, MIN_TIME
from api.ingest.records.problems import NO_UNIT, NO_ZONE

START = "2026-01-01T00:00:00Z"
GOOD: dict[type[Record], dict[str, object]] = {
    RequestRecord: {
        "id": "req_1", "created_at": START, "user": "eve", "tier": "premium", "model": "gpt",
        "backend": "aws", "status": "success",
    },
    IncidentRecord: {"id": "inc_1", "title": "Slow", "severity": "low", "started_at": START},
}  # fmt: skip
FIELDS = sorted(RequestRecord.model_fields | IncidentRecord.model_fields)


def read(field: str, value: object, *, zone: tzinfo | None = None, unit: str | None = None) -> object:
    """Return what one value of one field becomes in a record that is good otherwise."""
    record_type = RequestRecord if field in RequestRecord.model_fields else IncidentRecord
    options = ParseOptions(Notation(zone), {field: Notation(zone, unit)})
    return getattr(parse_record(record_type, GOOD[record_type] | {field: value}, options), field)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("2024-11-15 16:57:50", {"zone": UTC}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        ("2024-11-15T16:57:50.123456Z", {}, datetime(2024, 11, 15, 16, 57, 50, 123456, tzinfo=UTC)),
        ("2024-11-15 16:57:50+02:00", {"zone": UTC}, datetime(2024, 11, 15, 14, 57, 50, tzinfo=UTC)),
        ("2024-11-15 16:57:50 UTC", {}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        ("2024-07-01 12:00", {"zone": ZoneInfo("Europe/Paris")}, datetime(2024, 7, 1, 10, tzinfo=UTC)),
        ("2024-07-01", {"zone": timezone(timedelta(hours=2))}, datetime(2024, 6, 30, 22, tzinfo=UTC)),
        (
            datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=2))),
            {},
            datetime(2024, 6, 30, 22, tzinfo=UTC),
        ),
        ("1731689870", {"unit": "s"}, datetime(2024, 11, 15, 16, 57, 50, tzinfo=UTC)),
        (1731689870.25, {"unit": "s"}, datetime(2024, 11, 15, 16, 57, 50, 250000, tzinfo=UTC)),
        ("1731689870123", {"unit": "ms"}, datetime(2024, 11, 15, 16, 57, 50, 123000, tzinfo=UTC)),
        ("1.731689870123e12", {"unit": "ms"}, datetime(2024, 11, 15, 16, 57, 50, 123000, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_form_and_zone(text: object, options: Any, expected: object) -> None:
    """ISO text, datetimes and numbers since 1970 give the same instants, in UTC."""
    found = read("created_at", text, **options)
    assert found == expected
    assert isinstance(found, datetime)
    assert found.tzinfo is UTC


@given(st.datetimes(MIN_TIME.replace(tzinfo=None), MAX_TIME.replace(tzinfo=None) - timedelta(seconds=1)))
def test_a_time_survives_every_way_of_writing_it(moment: datetime) -> None:
    """Microseconds and zone come back exactly from ISO text and from microseconds since 1970."""
    aware = moment.replace(tzinfo=UTC)
    microseconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert read("created_at", aware.isoformat()) == aware
    assert read("created_at", str(microseconds), unit="us") == aware


@pytest.mark.parametrize(
    ("field", "text", "unit", "expected"),
    [
        ("latency_ms", "32.0", "s", 32000),
        ("latency_ms", "0.0005", "s", 0),
        ("latency_ms", "0.0015", "s", 2),
        ("latency_ms", "-0.0", None, 0),
        ("latency_ms", "1500", "us", 2),
        ("latency_ms", 1500, None, 1500),
        ("latency_ms", "2678400000", None, 2678400000),
        ("cost_usd", "0.1", None, Decimal("0.1")),
        ("cost_usd", 0.1, None, Decimal("0.1")),
        ("cost_usd", "1e-9", None, Decimal("0.000000001")),
        ("cost_usd", "12.5", "cent", Decimal("0.125")),
        ("prompt_tokens", "63.0", None, 63),
        ("status", "Success", None, "success"),
        ("error_code", "", None, None),
        ("user", "=cmd|'/c calc'!A0", None, "=cmd|'/c calc'!A0"),
        ("user", "مستخدم\u202e👩‍👩‍👧", None, "مستخدم\u202e👩‍👩‍👧"),
        ("user", "x" * 100, None, "x" * 100),
        ("routing_reason", '{"rule": "cheap", "score": 0.5}', None, {"rule": "cheap", "score": 0.5}),
        ("routing_reason", {"rule": "cheap"}, None, {"rule": "cheap"}),
        ("routing_reason", '{"path": "C:\\\\u0000"}', None, {"path": "C:\\u0000"}),
    ],
)
def test_values_are_exact(field: str, text: object, unit: str | None, expected: object) -> None:
    """Units convert without floating-point error; text stays what it is; empty text is no value."""
    assert read(field, text, unit=unit) == expected


@pytest.mark.parametrize(
    ("field", "value", "options", "problem"),
    [
        ("latency_ms", "-5", {}, "negative"),
        ("latency_ms", "-0.004", {"unit": "s"}, "negative"),
        ("latency_ms", "nan", {}, "not a number"),
        ("latency_ms", "Infinity", {}, "not a number"),
        ("latency_ms", "1_000", {}, "not a number"),
        ("latency_ms", "1,000", {}, "not a number"),
        ("latency_ms", "٣", {}, "not a number"),
        ("latency_ms", True, {}, "not a number"),
        ("latency_ms", "1e999999999", {}, "not a number"),
        ("latency_ms", "9" * 5000, {}, "not a number"),
        ("latency_ms", "1e9999", {}, "too large.*2,678,400,000 ms"),
        ("latency_ms", "1731689870123", {}, "too large"),
        ("cost_usd", "1e300", {}, "too large.*10,000 usd"),
        ("prompt_tokens", "63.5", {}, "not a whole number"),
        ("created_at", "2024-11-15 16:57:50", {}, f"{NO_ZONE}.*16:57:50Z"),
        ("created_at", "1731689870", {}, f"{NO_UNIT}.*s, ms, us, ns since 1970, it looks like s"),
        ("created_at", "20241115", {}, NO_UNIT),
        ("created_at", "yesterday", {}, "not a time.*ISO 8601"),
        ("created_at", "2024-13-45 00:00:00", {"zone": UTC}, "not a time"),
        ("created_at", "0001-01-01T00:00:00+14:00", {}, "out of range"),
        ("created_at", "9999-12-31T23:59:59-14:00", {}, "out of range.*2000 to 2099"),
        ("created_at", "1731689870123", {"unit": "s"}, "out of range.*unit"),
        ("created_at", "1731689870", {"unit": "ms"}, "out of range.*unit"),
        ("created_at", "1e9999", {"unit": "s"}, "out of range"),
        ("created_at", "NaN", {"unit": "s"}, "not a number"),
        ("created_at", None, {}, "missing"),
        ("status", "SUCCEED", {}, "unknown value.*success, error, timeout, rate_limited, pending"),
        ("status", "", {}, "missing"),
        ("user", "x" * 101, {}, "too long.*101 characters.*100"),
        ("user", "a\0b", {}, "unstorable"),
        ("user", "a\ud800b", {}, "unstorable"),
        ("user", 5, {}, "not text"),
        ("backend", "a/b", {}, "holds a slash.*model/backend"),
        ("resolved_at", "2025-12-31T00:00:00Z", {}, "before started_at"),
        ("routing_reason", "[1]", {}, "not a JSON object"),
        ("routing_reason", "{", {}, "not JSON"),
        ("routing_reason", '{"a": NaN}', {}, "not JSON"),
        ("routing_reason", '{"a": 1e999}', {}, "not JSON"),
        ("routing_reason", '{"a": "\\u0000"}', {}, "not a JSON object that can be stored"),
        ("routing_reason", '{"a": "\\ud800"}', {}, "not a JSON object that can be stored"),
        ("routing_reason", {"a": "x" * 10_000}, {}, "too long"),
        ("routing_reason", "[" * 9000, {}, "not JSON"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_accepted(
    field: str, value: object, options: Any, problem: str
) -> None:
    """Nothing that the database could not hold, or that means nothing, gets through."""
    with pytest.raises(RecordInvalid) as invalid:
        read(field, value, **options)
    (found,) = invalid.value.problems
    assert found.field == field
    assert re.match(f"{field}: {problem}", str(found))
    assert len(str(found)) < 300


def test_every_wrong_field_is_named() -> None:
    """One problem a field, in the order of the fields; unknown fields are refused."""
    bad = GOOD[RequestRecord] | {"backend": "b" * 99, "model": "m" * 101, "status": "?", "colour": "red"}
    with pytest.raises(RecordInvalid) as invalid:
        parse_record(RequestRecord, bad)
    assert [problem.field for problem in invalid.value.problems] == ["model", "status", "colour"]
    with pytest.raises(RecordInvalid, match="backend: too long: model/backend"):
        parse_record(RequestRecord, GOOD[RequestRecord] | {"backend": "b" * 100, "model": "m" * 100})


@given(st.sampled_from(FIELDS), st.text())
def test_any_text_is_a_value_or_a_problem(field: str, text: str) -> None:
    """No text raises anything else."""
    with suppress(RecordInvalid):
        read(field, text)


@pytest.mark.parametrize("name", ["Mars/Base", "+99:99", "../../etc/passwd", "", "x" * 5000])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    """No zone is guessed, and no file outside the zone database is read."""
    with pytest.raises(ValueError, match=r"unknown time zone .*; expected a name like UTC"):
        parse_zone(name)
