"""The verdict table: what a routing decision reads, immutable and replaced as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from context_builder.risk.outlook import NO_EXPERT, Outlook
from context_builder.risk.policy.breaker import EJECTED, BreakerState
from context_builder.risk.policy.probes import ProbeTickets
from context_builder.risk.request_latency import RequestLatency


@dataclass(frozen=True, slots=True)
class RoutingVerdict:
    """What is known and decided about one deployment until the next tick."""

    deployment: str
    state: BreakerState
    share: float
    """Of the traffic of the fleet, from 0 to 1; 0 while it is ejected."""
    base_share: float
    """Its share if nothing were wrong anywhere."""
    reason: str = ""
    """Why it is not simply in use, in words; empty if it is."""
    probability: float | None = None
    """That its limit is crossed within 5 minutes; None: no forecast."""
    expert: str = NO_EXPERT
    """Forecaster that the probability comes from."""
    outlook: Outlook | None = None
    returns_in_s: float | None = None
    """Seconds until it may return to a better state; None if it is closed."""
    tickets: ProbeTickets = field(default_factory=lambda: ProbeTickets(0))
    """Probes that it still wants."""

    @property
    def is_ejected(self) -> bool:
        """True if it gets probes at most."""
        return self.state in EJECTED


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """The verdicts of one tick. Nothing in it changes but the tickets that are taken."""

    moment: datetime | None
    """Of the tick; None before the first one."""
    verdicts: Mapping[str, RoutingVerdict] = field(default_factory=lambda: MappingProxyType({}))
    """By name of the deployment."""
    shadow: bool = True
    """True if the policy only advises."""
    number: int = 0
    """Ticks so far: a table with a higher number is newer."""
    latency: RequestLatency = field(default_factory=RequestLatency)
    """How long a request takes at each deployment."""


class VerdictBoard:
    """Holds the current table. Readers take one reference and see one tick, whatever is posted meanwhile."""

    __slots__ = ("_clock", "_posted")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._posted = (VerdictTable(None), 0.0)

    def post(self, table: VerdictTable) -> None:
        """Replace the table."""
        self._posted = (table, self._clock())

    @property
    def table(self) -> VerdictTable:
        """Return the current table."""
        return self._posted[0]

    def read(self) -> tuple[VerdictTable, float]:
        """Return the current table and its age in seconds, by a clock that cannot be set."""
        table, posted_s = self._posted
        return table, self._clock() - posted_s
