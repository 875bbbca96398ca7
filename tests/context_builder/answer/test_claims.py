"""Law 5, what is compared: the numbers, times and names that a text states."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.answer.claims import Name, Quantity, TimeClaim, find_claims


def quantities(text: str) -> list[str]:
    """The numbers of a text with their units."""
    return [f"{c.value} {c.unit}".strip() for c in find_claims(text) if isinstance(c, Quantity)]


def moments(text: str) -> list[tuple[str | None, tuple[int, int] | None, tuple[int, ...]]]:
    """Return year, day and time of the times in a text."""
    return [(c.year, c.day, c.clock) for c in find_claims(text) if isinstance(c, TimeClaim)]


def names(text: str) -> list[str]:
    """The names in a text."""
    return [claim.written for claim in find_claims(text) if isinstance(claim, Name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,204 requests", ["1204"]),
        ("1204, 1\u202f204, 1\u00a0204", ["1204"] * 3),
        ("12,850 ms or 12.85 s", ["12850 ms", "12.85 s"]),
        ("96 % 96% 96\u00a0% 96 percent 96 per cent <0.1 % >99.9%", ["96 %"] * 5 + ["0.1 %", "99.9 %"]),
        ("$0.96 of $1,204.50, 0.96 USD, 5 dollars", ["0.96 $", "1204.50 $", "0.96 $", "5 $"]),
        ("2.4 times 2.4x 2.4× 2.4 x", ["2.4 times"] * 4),
        (
            "10 h 51 min, 10h51m, 3 d 4 hours, 2-minute",
            ["10 h", "51 min", "10 h", "51 min", "3 d", "4 h", "2 min"],
        ),
        ("-12.5 %, −3, +5", ["12.5 %", "3", "5"]),
        ("5-10 ms, 5–10 ms, 3/10, 3:1", ["5", "10 ms", "5", "10 ms", "3", "10", "3", "1"]),
        ("504s and 429s", ["504 s", "429 s"]),
        ("1,2045 and 1,20", ["1", "2045", "1", "20"]),
        ("latency_ms=402, top5", ["402"]),
        ("延迟为12,850毫秒", ["12850"]),
        ("**96** %, `0.96`, *5*s", ["96 %", "0.96", "5 s"]),
        ("two, twice, dozens, ½, ²", []),
        ("p95, p99.9, 5xx, HTTP/2, SHA-256, IPv4, top-10, 95th, 1st, P1", []),
    ],
)
def test_numbers_as_they_are_written(text: str, expected: list[str]) -> None:
    """Thousands, decimals, units, money, durations and percentages count; measures and words do not."""
    assert quantities(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20", [("2026", (11, 20), ())]),
        ("2026-11-20 07:10 UTC", [("2026", (11, 20), (7, 10))]),
        ("2026-11-20T07:10:09.123Z", [("2026", (11, 20), (7, 10, 9))]),
        ("07:10–08:20, 7:10.", [(None, None, (7, 10)), (None, None, (8, 20)), (None, None, (7, 10))]),
        ("Nov 20 at 07:10", [(None, (11, 20), ()), (None, None, (7, 10))]),
        ("20 November 2026, Nov. 3rd", [("2026", (11, 20), ()), (None, (11, 3), ())]),
        ("May 5, but May was dry and in March. 5 fell", [(None, (5, 5), ())]),
        ("Marketing 5, Decimal 3, Maybe 4", []),
    ],
)
def test_times_as_they_are_written(text: str, expected: object) -> None:
    """ISO and spoken dates, times of day with and without seconds."""
    assert moments(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4/aws is down.", ["gpt-4/aws"]),
        ("**gpt-4/aws**'s, `llama-70b`, (v2.4.0)", ["gpt-4/aws", "llama-70b", "v2.4.0"]),
        ("user_acme user\\_acme _user_acme_", ["user_acme"] * 3),
        ("req_3f8a1c: inc-0042!", ["req_3f8a1c", "inc-0042"]),
        ("10.0.0.1 and 2.4.0 but 2.4", ["10.0.0.1", "2.4.0"]),
        ("3f8a1c9e-77b2-4d10-9e55-0a1b2c3d4e5f", ["3f8a1c9e-77b2-4d10-9e55-0a1b2c3d4e5f"]),
        ("pre-v2.4.0, non-gpt-4, gpt-4-based, gpt\u20114", ["v2.4.0", "gpt-4", "gpt-4", "gpt-4"]),
        ("claude/aws and/or read/write", ["claude/aws", "and/or", "read/write"]),
        ("https://evil.example/x www.evil.example", ["https://evil.example/x", "www.evil.example"]),
        ("p50/p95, 5xx/429, well-known, e.g. upstream", []),
    ],
)
def test_names_as_they_are_written(text: str, expected: list[str]) -> None:
    """Ids, versions, addresses and pairs, without the Markdown around them."""
    assert names(text) == expected


@pytest.mark.parametrize(
    ("written", "span", "holds"),
    [
        ("12.85", 12_850, True), ("12.9", 12_850, True), ("12.8", 12_850, True), ("13", 12_850, True),
        ("12.7", 12_850, False), ("12.86", 12_850, False), ("1", 1_204, False), ("1.2", 1_204, True),
        ("1", 1_000, True), ("0", 402, False),
    ],
)  # fmt: skip
def test_a_duration_may_be_rounded_when_the_unit_changes(written: str, span: int, holds: bool) -> None:
    """Milliseconds may be written as seconds, correctly rounded, with at least two digits unless exact."""
    assert Quantity(written, Decimal(written), "s").is_rounded(Decimal(span)) is holds


@pytest.mark.long
@settings(max_examples=500, deadline=None)
@given(st.text() | st.text("0123456789.,:-/ %$ax_Z[]*`NovT\u00a0", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    """No text raises, and every claim found is a part of it."""
    for claim in find_claims(text):
        assert claim.written
        assert set(claim.written) <= set(text.translate({0x2010: "-", 0x2011: "-", 0x2212: "-"})) | {"-"}


HOSTILE = [
    "1", "1,111", "1,", ",111", "1.1.", "1.1", "1:1", "11:11:", "2026-11-20 ", "2026-11-", "a1", "a", "a_",
    "a/", "a/1", "1h", "10h5", "5 %", "$ ", "Nov ", "Nov 1", "*", "_", "a*", "`a", "\\", "5ms", "-", "pre-",
    "://", "5 per cent ", "٣",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_are_read_in_one_pass(piece: str) -> None:
    """100 kB of text that causes backtracking is processed in linear time."""
    text = piece * (100_000 // len(piece))
    assert sum(len(claim.written) for claim in find_claims(f"{text}x")) <= len(text) + 1
