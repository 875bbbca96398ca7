"""The breaker of one deployment: opens on observed failures, steps back on forecasts, returns by probes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import NamedTuple

from context_builder.risk.policy.limits import (
    DWELLS_S,
    ENTER_PROBABILITY,
    ENTER_TICKS,
    FLAP_MEMORY_S,
    JITTER,
    LEAVE_PROBABILITY,
    LEAVE_TICKS,
    MAX_PROBES,
    MIN_FAILURES,
    MIN_STRAINED,
    OPEN_SHARE,
    OUTLIER,
    PROBE_ROUND_S,
    STRAINED_SHARE,
    WINDOW_S,
)
from context_builder.risk.policy.outcomes import Observed
from context_builder.risk.policy.probes import ProbeTickets

_NOTHING = Observed()


class BreakerState(StrEnum):
    """How much traffic a deployment gets."""

    CLOSED = "closed"
    """Its full share."""
    AT_RISK = "at_risk"
    """A part of it, since a breach is forecast or its answers are slow or refused."""
    OPEN = "open"
    """None."""
    HALF_OPEN = "half_open"
    """A few probes."""


class FleetLevel(NamedTuple):
    """How the deployments in use are doing, as medians."""

    strained_share: float
    probability: float


CALM_FLEET = FleetLevel(0.0, 0.0)
EJECTED = frozenset({BreakerState.OPEN, BreakerState.HALF_OPEN})


@dataclass(frozen=True, slots=True)
class BreakerTransition:
    """A change of state."""

    at: datetime
    deployment: str
    from_state: BreakerState
    to_state: BreakerState
    reason: str
    """Why, in words."""


class Breaker:
    """The state of one deployment. Times are seconds of a clock that never goes back."""

    def __init__(self, random: Random) -> None:
        self.state = BreakerState.CLOSED
        self.reason = ""
        """Why it is in this state, in words; empty if it never left `closed`."""
        self.tickets = ProbeTickets(0)
        self.earliest_return_s = 0.0
        """When it may leave the state for a better one."""
        self.is_down = False
        """Whether its health checks say so now: a failure that needs no request to be seen."""
        self._random = random
        self._window: deque[tuple[float, Observed]] = deque()
        self._departures: deque[float] = deque(maxlen=len(DWELLS_S))
        self._above = self._calm = 0
        self._probed = _NOTHING
        self._round_began_s = 0.0

    @property
    def is_ejected(self) -> bool:
        """True if it gets no traffic but probes."""
        return self.state in EJECTED

    @property
    def seen(self) -> Observed:
        """Return the sum of the window."""
        return sum((seen for _, seen in self._window), _NOTHING)

    def wants_to_open(self) -> bool:
        """Return whether failures call for an ejection; whether there is room for it others decide."""
        seen = self.seen
        is_failing = seen.failures >= MIN_FAILURES and seen.failure_share >= OPEN_SHARE
        return not self.is_ejected and (self.is_down or is_failing)

    def observe(self, now_s: float, seen: Observed | None) -> None:
        """Take in what was seen since the last tick; None is missing data."""
        if seen is not None:
            self._window.append((now_s, seen))
        while self._window and self._window[0][0] <= now_s - WINDOW_S:
            self._window.popleft()

    def advance(
        self, now_s: float, seen: Observed | None, probability: float | None, usual: FleetLevel = CALM_FLEET
    ) -> None:
        """Change the state after `observe`; missing data never makes anything worse."""
        match self.state:
            case BreakerState.CLOSED:
                self._consider_risk(now_s, probability, usual)
            case BreakerState.AT_RISK:
                self._consider_calm(now_s, seen, probability)
            case BreakerState.OPEN:
                if now_s >= self.earliest_return_s and not self.is_down:
                    self._begin_round(now_s)
                    self._become(BreakerState.HALF_OPEN, f"{MAX_PROBES} probes after its time out")
            case BreakerState.HALF_OPEN:
                self._judge_probes(now_s, seen or _NOTHING)

    def open(self, now_s: float) -> None:
        """Eject it for what its health checks say, or its window holds."""
        seen = self.seen
        failed = f"{seen.failures} of {seen.successes + seen.failures} requests failed in {WINDOW_S:g} s"
        self._depart(
            now_s, BreakerState.OPEN, "its health checks say that it is down" if self.is_down else failed
        )

    def release(self, reason: str) -> None:
        """Let it take traffic again, whatever it did: others need its place among the ejected."""
        self._become(BreakerState.CLOSED, reason)

    def restore(self, state: BreakerState, reason: str, now_s: float, ago_s: float) -> None:
        """Continue where another process stopped `ago_s` seconds ago; probes of it are lost."""
        if state in EJECTED:
            self._depart(now_s - ago_s, BreakerState.OPEN, reason)
        elif state is BreakerState.AT_RISK:
            self._depart(now_s - ago_s, state, reason)

    def _consider_risk(self, now_s: float, probability: float | None, usual: FleetLevel) -> None:
        """Step back if it is worse off than the others: where all are, nobody could take its traffic on."""
        seen = self.seen
        answered = seen.successes + seen.neutrals
        if answered >= MIN_STRAINED and seen.strained_share >= max(
            STRAINED_SHARE, usual.strained_share + OUTLIER
        ):
            reason = f"{seen.slow} slow and {seen.neutrals} refused of {answered} requests in {WINDOW_S:g} s"
            self._depart(now_s, BreakerState.AT_RISK, reason)
            return
        is_above = probability is not None and probability >= max(
            ENTER_PROBABILITY, usual.probability + OUTLIER
        )
        self._above = self._above + 1 if is_above else 0
        if self._above >= ENTER_TICKS:
            reason = (
                f"a breach within 5 minutes was forecast with {probability:.2f} {ENTER_TICKS} times in a row"
            )
            self._depart(now_s, BreakerState.AT_RISK, reason)

    def _consider_calm(self, now_s: float, seen: Observed | None, probability: float | None) -> None:
        """Count calm ticks: a forecast of better times alone is none, nor is missing data."""
        window = self.seen
        has_traffic = seen is not None and window.successes > 0
        is_strained = window.strained_share >= STRAINED_SHARE
        is_low = probability is None or probability <= LEAVE_PROBABILITY
        self._calm = self._calm + 1 if has_traffic and is_low and not is_strained else 0
        if self._calm >= LEAVE_TICKS and now_s >= self.earliest_return_s:
            self._become(BreakerState.CLOSED, f"calm for {self._calm} ticks in a row")

    def _judge_probes(self, now_s: float, seen: Observed) -> None:
        self._probed += seen
        if self.is_down:
            self._become(BreakerState.OPEN, "its health checks say that it is down again")
        elif self._probed.failures:
            self.earliest_return_s = now_s + self._jittered(DWELLS_S[0])
            self._become(BreakerState.OPEN, f"a probe failed after {self._probed.successes} successes")
        elif self._probed.successes >= MAX_PROBES:
            self._window.clear()
            self._become(BreakerState.CLOSED, f"{self._probed.successes} probes succeeded")
        elif now_s >= self._round_began_s + PROBE_ROUND_S:
            self._begin_round(now_s)

    def _begin_round(self, now_s: float) -> None:
        self._probed = _NOTHING
        self._round_began_s = now_s
        self.tickets = ProbeTickets(MAX_PROBES)

    def _depart(self, now_s: float, state: BreakerState, reason: str) -> None:
        """Leave `closed`, or get from bad to worse, for a stay that grows with the departures of the hour."""
        if self.state is BreakerState.CLOSED:
            self._departures.append(now_s)
        recent = sum(moment > now_s - FLAP_MEMORY_S for moment in self._departures)
        self.earliest_return_s = now_s + self._jittered(DWELLS_S[max(0, recent - 1)])
        self._become(state, reason)

    def _jittered(self, stay_s: float) -> float:
        return stay_s * (1 + JITTER * self._random.random())

    def _become(self, state: BreakerState, reason: str) -> None:
        self.state, self.reason = state, reason
        self._above = self._calm = 0
