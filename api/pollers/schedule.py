"""When a target is asked again. Pure."""

from __future__ import annotations

from random import Random

MAX_INTERVALS = 10
"""Longest pause after failures, in intervals of the target."""
JITTER = 0.1
"""Share by which pauses differ, so that targets are not asked all at once."""
_SPREAD_S = 5.0
"""Over which the first polls of a process are spread."""


def pause_after(every_s: float, failures: int, retry_after_s: float, chance: Random) -> float:
    """Return the seconds to the next poll: twice as long with every failure, and what the target asks for."""
    intervals = min(1 << min(failures, 10), MAX_INTERVALS)
    return max(every_s * intervals, retry_after_s) * chance.uniform(1 - JITTER, 1 + JITTER)


def first_pause(every_s: float, due_in_s: float | None, chance: Random) -> float:
    """Return the seconds to the first poll of a process; `due_in_s` is what another one had planned.

    A clock that was set back makes nothing wait for longer than failures would.
    """
    soon = chance.uniform(0, min(every_s, _SPREAD_S))
    return soon if due_in_s is None else min(max(due_in_s, soon), every_s * MAX_INTERVALS)
