"""What a key may ask for: its minute's requests at once, then one by one."""

from __future__ import annotations

from contextlib import suppress

import pytest

from api.access.errors import RateLimited
from api.access.rate_limit import RateLimits


def test_in_any_time_no_more_than_its_rate_and_one_minutes_worth_pass() -> None:
    """The bound that is promised, for a caller who asks ten times as often; what is refused costs nothing."""
    now = 0.0
    limits = RateLimits(lambda: now)
    served = 0
    for _ in range(6_000):
        with suppress(RateLimited):
            limits.take(1, 60)
            served += 1
        now += 0.1
    assert 60 * 10 < served <= 60 * (1 + 10)


def test_it_says_when_the_next_one_passes_and_others_are_not_held_up() -> None:
    """A wait that is long enough, by key."""
    now = 0.0
    limits = RateLimits(lambda: now)
    limits.take(1, 1)
    with pytest.raises(RateLimited, match="1 requests a minute; try again in 60 s") as refused:
        limits.take(1, 1)
    limits.take(2, 1)
    now += refused.value.retry_after_s
    limits.take(1, 1)
