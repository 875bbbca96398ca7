"""The numbers of the routing policy; docs/policy.md lists them for operators."""

from __future__ import annotations

ENTER_PROBABILITY = 0.6
"""Breach probability from which a deployment is at risk, for ENTER_TICKS ticks in a row."""
ENTER_TICKS = 2
LEAVE_PROBABILITY = 0.3
"""Breach probability down to which it is not, for LEAVE_TICKS ticks in a row."""
LEAVE_TICKS = 3

DWELLS_S = (60.0, 300.0, 600.0, 900.0)
"""Shortest stay outside `closed`, in seconds: after the first departure from it in an hour, the second, ...

So a deployment leaves `closed` again at most once in five minutes, and at most six times an hour.
"""
FLAP_MEMORY_S = 3600.0
JITTER = 0.2
"""Largest random extension of a stay, as a share of it, so that deployments do not return all at once."""

WINDOW_S = 30.0
"""Span of the observations that a breaker judges."""
MIN_FAILURES = 5
"""Failures in the window below which a breaker never opens."""
OPEN_SHARE = 0.5
"""Share of failures among successes and failures from which it opens."""
USELESS_SHARE = 0.9
"""Share of failures from which one that may not be ejected is kept small: it answers hardly anybody."""
MIN_STRAINED = 5
"""Requests in the window below which slow or refused ones say nothing."""
STRAINED_SHARE = 0.5
"""Share of slow or refused requests from which a deployment is at risk without any forecast."""
OUTLIER = 0.3
"""By how much that share, or the breach probability, must exceed the median of the fleet."""

MAX_PROBES = 3
"""Requests that a half-open deployment gets in one round; as many successes close it."""
PROBE_ROUND_S = 60.0
"""After so long without an outcome the probes count as lost, and another round begins."""
PROBE_CHANCE = 0.2
"""Of a request to be a probe, while one is wanted."""

MAX_EJECTED_SHARE = 0.3
"""Largest share of the fleet that is ejected, counted after ejecting; one deployment always may."""
PANIC_SHARE = 0.5
"""Share of a request's candidates that must be usable; with fewer all of them are used."""

MAX_SHIFT = 0.2
"""Largest part of its share that a deployment loses in one tick to anything but an ejection."""
RAMP = 0.2
"""Largest part of its target share that a deployment gains in one tick: after recovery it warms up."""
AT_RISK_SHARE = 0.2
"""Target of a deployment at risk, relative to its usual share."""
EXPLORED = 0.01
"""Share of requests that go to any usable candidate, so that none is starved by an old impression."""

MAX_ELAPSED_S = 60.0
"""Longest time that one tick can let pass: a clock that jumps ahead ends no stay."""
STALE_AFTER_S = 60.0
"""Age from which a verdict table is not acted on: what it knew has passed."""
LARGE_TOKENS = 8000
"""Prompt and completion tokens from which a request is neither probe nor exploration."""


def most_ejected(deployments: int) -> int:
    """Return how many of so many deployments may be ejected at once; never all of them."""
    return max(0, min(deployments - 1, max(1, int(deployments * MAX_EJECTED_SHARE))))
