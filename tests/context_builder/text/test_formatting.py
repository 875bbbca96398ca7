"""Figures in facts have one format, and are never more extreme than the value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.text.formatting import (
    format_count,
    format_dollars,
    format_duration,
    format_milliseconds,
    format_name,
    format_percent,
    format_ratio,
    format_time,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (format_count(0, "request"), "0 requests"),
        (format_count(1, "request"), "1 request"),
        (format_count(1_204, "request"), "1,204 requests"),
        (format_milliseconds(1234.5), "1,234 ms"),
        (format_ratio(30, 20), "1.5 times"),
        (format_ratio(1, 25), "0.04 times"),
        (format_time(datetime(2026, 3, 10, 7, 5, 59, tzinfo=UTC)), "2026-03-10 07:05"),
        (format_duration(timedelta(seconds=-3)), "0 s"),
        (format_duration(timedelta(seconds=59)), "59 s"),
        (format_duration(timedelta(seconds=59.6)), "1 min"),
        (format_duration(timedelta(minutes=59, seconds=59)), "59 min"),
        (format_duration(timedelta(hours=1)), "1 h 0 min"),
        (format_duration(timedelta(days=1)), "1 d 0 h"),
        (format_duration(timedelta(days=12, hours=23, minutes=59)), "12 d 23 h"),
    ],
)
def test_each_figure_has_one_format(written: str, expected: str) -> None:
    """Counts, times and durations are right at the edges between two units."""
    assert written == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"), (0, 5, "0 %"), (5, 5, "100 %"), (1, 8, "12.5 %"), (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"), (250, 100, "250.0 %"), (Decimal("0.5"), Decimal(2), "25.0 %"),
    ],
)  # fmt: skip
def test_a_share_has_one_decimal(part: int, whole: int, expected: str) -> None:
    """Shares have one decimal, and a whole of zero is no error."""
    assert format_percent(part, whole) == expected


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_only_exact_shares_read_none_or_all(part: int, whole: int) -> None:
    """One failure in a million is not `0 %` failed, and one success in a million not `100 %` failed."""
    part = min(part, whole)
    written = format_percent(part, whole)
    assert (written == "0 %") == (part == 0)
    assert (written == "100 %") == (part == whole)
    number = float(re.search(r"[\d.]+", written).group())  # type: ignore[union-attr]
    assert abs(number - 100 * part / whole) <= 0.1


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", "$0.00"), ("1234567.891", "$1,234,567.89"), ("0.1", "$0.10"), ("0.0999", "$0.0999"),
        ("0.0001", "$0.0001"), ("0.000099999", "$0.000099999"), ("0.000000001", "$0.000000001"),
        ("-0.5", "-$0.50"), ("-0.00002", "-$0.000020000"),
    ],
)  # fmt: skip
def test_small_amounts_are_visible(amount: str, expected: str) -> None:
    """Amounts have two decimals, and more for a single cheap request."""
    assert format_dollars(Decimal(amount)) == expected


@given(st.integers(1, 10**18))
def test_no_positive_amount_reads_zero(nano_dollars: int) -> None:
    """Every storable amount is within half of its last digit."""
    amount = Decimal(nano_dollars).scaleb(-9)
    written = Decimal(format_dollars(amount).removeprefix("$").replace(",", ""))
    assert written > 0
    assert abs(written - amount) <= max(Decimal("0.00005"), amount / 20)


@pytest.mark.parametrize("name", ["gpt-4/aws", "user_é", "v2.4.0-rc.1+b7", "req:7@eu#2"])
def test_a_plain_name_is_not_quoted(name: str) -> None:
    """Names in their usual spelling need no quotation marks."""
    assert format_name(name) == name


@given(st.text(max_size=300))
def test_a_name_that_could_be_a_sentence_is_quoted(name: str) -> None:
    """Law 7: outside « » an untrusted name has no white space, bracket or quotation mark."""
    written = format_name(name)
    assert "\n" not in written
    if written.startswith("«"):
        assert written.endswith("»")
        assert not set("«»") & set(written[1:-1])
    else:
        assert re.fullmatch(r"[\w.:/@+#-]{1,100}", written)
