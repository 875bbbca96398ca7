"""Error logs: thousands of lines become a few templates, new ones first."""

from __future__ import annotations

from datetime import datetime

import pytest

from context_builder.source import Section, Status
from context_builder.sources import errors
from context_builder.sources.errors import MAX_FACTS, source
from models import ErrorLog
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import error, flood
from tests.support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")


def texts(section: Section) -> list[str]:
    return [fact.text for fact in section.facts]


async def test_lines_become_templates_with_counts_and_an_example(gateway: Gateway) -> None:
    """A template shows count, targets, times and its worst severity; new ones come first."""
    await gateway.add(
        *(error(f"timed out after {n} ms", NOON - n * MINUTE, target=f"w{n % 7}") for n in range(1, 41)),
        error("timed out after 7 ms", NOON - 30 * HOUR),
        error("disk is full", NOON - HOUR, severity="warning"),
        error("disk is full", NOON - 2 * HOUR, severity="critical"),
    )
    section = await gateway.read(source)
    assert section.header == (
        "42 error logs from 2026-03-09 12:00 to 2026-03-10 12:00, 1 in the 24 h before; 2 templates, 1 new"
    )
    assert texts(section) == [
        (
            "CRITICAL «disk is full» 2 times on router between 2026-03-10 10:00 and 2026-03-10 11:00; "
            "NEW: not seen from 2026-03-08 12:00 to 2026-03-09 12:00"
        ),
        (
            "error «timed out after <*> ms» 40 times on w1, w2, w3, w4, w5 and 2 more "
            "between 2026-03-10 11:20 and 2026-03-10 11:59; 1 in the 24 h before the window; "
            "e.g. «timed out after 1 ms»"
        ),
    ]
    assert section.facts[0].short.endswith("; NEW")
    assert {fact.kind for fact in section.facts} == {"error templates"}


async def test_what_began_with_the_onset_is_new(gateway: Gateway, onset: datetime) -> None:
    """A template is new from the onset on; noise of the hours before it is not."""
    await gateway.add(
        error("noise", onset - HOUR), error("noise", onset + HOUR), error("cause", onset + 3 * MINUTE)
    )
    section = await gateway.read(source)
    assert texts(section)[0].startswith(
        "error «cause» once on router at 2026-03-10 10:03; NEW: not seen from "
    )
    assert texts(section)[0].endswith("to 2026-03-10 10:00, 3 min after the onset")
    assert "NEW" not in texts(section)[1]
    assert "1 new" in section.header


async def test_what_became_frequent_ranks_between_the_new_and_the_usual(gateway: Gateway) -> None:
    """New templates rank above rising ones, and those above the usual noise."""
    await gateway.add(
        *(error("usual noise", NOON - n * MINUTE) for n in range(1, 100)),
        *(error("usual noise", NOON - DAY - n * MINUTE) for n in range(1, 100)),
        *(error("rising tide", NOON - n * MINUTE) for n in range(1, 20)),
        error("rising tide", NOON - DAY - HOUR),
        error("never seen", NOON - 6 * HOUR),
    )
    told = texts(await gateway.read(source))
    assert [text.split("»")[0] for text in told] == [
        "error «never seen", "error «rising tide", "error «usual noise",
    ]  # fmt: skip


async def test_the_window_is_half_open_and_ends_by_as_of(gateway: Gateway) -> None:
    """The window is half-open."""
    since, until = NOON - 3 * HOUR, NOON - HOUR
    await gateway.add(
        error("first", since), error("too early", since - MINUTE), error("last", until - MINUTE),
        error("too late", until),
    )  # fmt: skip
    section = await gateway.read(source, asking(since=since, until=until))
    assert sorted(text.split("»")[0] for text in texts(section)) == ["error «first", "error «last"]
    assert "2 error logs" in section.header
    assert "1 in the 24 h before" in section.header


async def test_a_flood_is_read_in_part_and_says_so(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines are fetched, none in full, and nothing is claimed about unread lines."""
    monkeypatch.setattr(errors, "MAX_READ", 500)
    monkeypatch.setattr(errors, "MAX_READ_BEFORE", 200)
    line = {"severity": "error", "target": "router"}
    await flood(gateway, ErrorLog, 3_000, logged_at=NOON - HOUR, message=lambda n: f"lost {n}", **line)
    await flood(gateway, ErrorLog, 1_000, logged_at=NOON - 30 * HOUR, message=lambda n: f"old {n}", **line)
    await gateway.add(error("x" * 100_000, NOON - MINUTE))
    section = await gateway.read(source)
    assert "3,001 error logs" in section.header
    assert "1,000 in the 24 h before; only the newest 500 were read; 2 templates, 2 new" in section.header
    assert "499 times" in " ".join(texts(section))
    assert all("NEW: not among the 200 lines before 2026-03-09 12:00" in text for text in texts(section))
    assert max(map(len, texts(section))) < 1_000
    assert await rows_fetched(gateway, source) <= 500 + 200 + 5


async def test_many_templates_are_counted(gateway: Gateway) -> None:
    """Facts are bounded; the header has the full number."""
    words = ["".join(chr(97 + (n * k) % 26) for k in range(1, 7)) for n in range(26)]
    await gateway.add(*(error(" ".join([word] * (n + 1))) for n, word in enumerate(words * 2)))
    section = await gateway.read(source)
    assert len(section.facts) == MAX_FACTS
    assert f"52 templates, 52 new, {MAX_FACTS} listed" in section.header


async def test_no_lines_is_empty(gateway: Gateway) -> None:
    """The day before is not part of the window."""
    await gateway.add(error(at=NOON - 30 * HOUR))
    section = await gateway.read(source)
    assert (section.status, section.facts) == (Status.EMPTY, ())
    assert section.header == ("no error logs from 2026-03-09 12:00 to 2026-03-10 12:00, 1 in the 24 h before")
