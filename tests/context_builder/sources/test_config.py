"""Configuration changes with values and distance from the onset."""

from __future__ import annotations

from datetime import datetime

import pytest

from context_builder.source import Section, Status
from context_builder.sources.config import MAX_FACTS, source
from models import ConfigChange
from tests.support.gateway import DAY, HOUR, MINUTE, NOON, Gateway, asking
from tests.support.ops_events import config, flood
from tests.support.statements import rows_fetched

pytestmark = pytest.mark.asyncio(loop_scope="session")


def parameters(section: Section) -> list[str]:
    return [fact.text.partition(" ")[0] for fact in section.facts]


async def test_the_newest_comes_first_where_nothing_stands_out(gateway: Gateway) -> None:
    """A fact shows old and new value, author and time, also if a value was unset or removed."""
    await gateway.add(
        config("cfg_1", NOON - 3 * HOUR, parameter="retries", old_value=None, new_value="3"),
        config("cfg_2", NOON - HOUR, parameter="weights", old_value='{"a": 1}', new_value=None),
    )
    section = await gateway.read(source)
    assert section.header == "2 configuration changes from 2026-03-08 12:00 to 2026-03-10 12:00"
    assert [fact.text for fact in section.facts] == [
        'weights of router: «{"a": 1}» -> removed; by kim at 2026-03-10 11:00',
        "retries of router: not set -> «3»; by kim at 2026-03-10 09:00",
    ]
    assert section.facts[0].importance > section.facts[1].importance > 0


async def test_with_an_onset_the_nearest_comes_first(gateway: Gateway, onset: datetime) -> None:
    """Changes rank by distance from the onset, before and after alike."""
    await gateway.add(
        config("cfg_1", onset - 12 * MINUTE, parameter="before"),
        config("cfg_2", onset + 90 * MINUTE, parameter="after"),
        config("cfg_3", onset - 30 * HOUR, parameter="long_before"),
        config("cfg_4", onset, parameter="at"),
    )
    section = await gateway.read(source)
    assert section.header.endswith("; the onset was 2026-03-10 10:00")
    assert parameters(section) == ["at", "before", "after", "long_before"]
    for fact, said in zip(section.facts, ("at", "12 min before", "1 h 30 min after", "1 d 6 h before"),
                          strict=True):  # fmt: skip
        assert fact.text.endswith(f", {said} the onset")
        assert fact.short.endswith(f", {said} the onset")


async def test_the_window_and_the_day_before_it_are_read(gateway: Gateway) -> None:
    """The span is half-open, and changes after `as_of` are left out."""
    since, until = NOON - 3 * HOUR, NOON - HOUR
    await gateway.add(
        config("cfg_1", since - DAY, parameter="first"),
        config("cfg_2", since - DAY - MINUTE, parameter="too_early"),
        config("cfg_3", until - MINUTE, parameter="last"),
        config("cfg_4", until, parameter="too_late"),
    )
    section = await gateway.read(source, asking(since=since, until=until))
    assert parameters(section) == ["last", "first"]


async def test_an_onset_before_the_window_is_read_with_the_day_before_it(
    gateway: Gateway, onset: datetime
) -> None:
    """What the header counts is what may be listed: from a day before the earlier of window and onset."""
    await gateway.add(
        config("cfg_1", onset - DAY - MINUTE, parameter="too_early"),
        config("cfg_2", onset - DAY, parameter="first"),
        config("cfg_3", onset + MINUTE, parameter="cause"),
    )
    section = await gateway.read(source, asking(since=NOON - HOUR, until=NOON))
    assert section.header.startswith("2 configuration changes from 2026-03-09 10:00 to 2026-03-10 12:00; ")
    assert parameters(section) == ["cause", "first"]


async def test_changes_of_one_target_and_minute_do_not_hide_each_other(gateway: Gateway) -> None:
    """A change carries its key only if no other change on its target has the same minute."""
    await gateway.add(*(config(f"cfg_{n}", parameter=f"p{n}") for n in range(3)), config("cfg_9", target="b"))
    facts = (await gateway.read(source)).facts
    assert sorted(fact.key for fact in facts) == ["", "", "", "config:b:2026-03-10T11:00:00+00:00"]


async def test_long_values_have_a_short_form(gateway: Gateway) -> None:
    """A value of 100 kB is cut, and the rest is counted."""
    await gateway.add(config(old_value="x" * 100_000, new_value="y" * 100_000))
    (fact,) = (await gateway.read(source)).facts
    assert len(fact.short) < 200 < len(fact.text) < 600
    assert "more characters" in fact.short


async def test_a_flood_is_counted_and_the_onset_keeps_its_neighbours(
    gateway: Gateway, onset: datetime
) -> None:
    """Thousands of later changes do not displace the one before the onset."""
    await flood(
        gateway,
        ConfigChange,
        3_000,
        public_id=lambda n: f"flood_{n}",
        changed_at=NOON - MINUTE,
        target="router",
        parameter="p",
        changed_by="bot",
    )
    await gateway.add(config("cfg_1", onset - 5 * MINUTE, parameter="culprit"))
    section = await gateway.read(source)
    assert parameters(section)[0] == "culprit"
    assert len(section.facts) == MAX_FACTS
    assert section.header.startswith("3,001 configuration changes")
    assert f"{MAX_FACTS} nearest to the onset are listed" in section.header
    assert await rows_fetched(gateway, source) <= 2 * MAX_FACTS + 5


async def test_no_changes_is_empty(gateway: Gateway) -> None:
    """An empty table gives an empty section that says so."""
    section = await gateway.read(source)
    assert section.status is Status.EMPTY
    assert section.header == "no configuration changes from 2026-03-08 12:00 to 2026-03-10 12:00"
