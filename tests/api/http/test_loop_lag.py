"""The lag of the event loop is what its tasks really wait."""

from __future__ import annotations

from api.http.loop_lag import LoopLag


def test_percentiles_are_of_the_last_minute() -> None:
    """Older samples do not count, and before the first one the lag is 0."""
    lag = LoopLag()
    assert lag.percentile_ms(0.99) == 0.0
    lag.add(0.0, 5.0)
    for second in range(1, 102):
        lag.add(second, second / 1000)
    assert lag.percentile_ms(0.5) == 71.0  # of 41 to 101
    assert lag.percentile_ms(0.99) == 100.0
    assert lag.percentile_ms(1.0) == 101.0
