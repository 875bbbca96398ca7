"""One run of a policy against one scenario, and what came of it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from context_builder.risk.chaos.faults import FAULT_START_S, ChaosScenario
from context_builder.risk.chaos.fleet import SimulatedAnswer, SimulatedFleet
from context_builder.risk.chaos.rivals import SimulatedPolicy
from context_builder.risk.policy.outcomes import UpstreamResult

DURATION_S = 720.0
TICK_S = 5.0
WARM_UP_S = 60.0
"""Not counted: every policy begins without knowledge."""
_BIN_S = 10.0
_RECOVERED_SHARE = 0.5
"""Of the traffic before the fault from which a struck deployment counts as recovered."""


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """What came of one run."""

    policy: str
    requests: int
    breached: int
    """Requests that failed, were refused or took longer than the limit."""
    p99_s: float
    """Of all requests that were answered."""
    ejections: int
    """How often a deployment was ejected."""
    max_flaps: int
    """Most times that one deployment was ejected again."""
    max_ejected_share: float
    """Largest share of the fleet that was ejected at the same time."""
    recovery_s: float | None
    """From the end of the fault until the struck deployments had half of their traffic back; None: never."""

    @property
    def breached_share(self) -> float:
        """Return the share of requests that breached."""
        return self.breached / self.requests if self.requests else 0.0


def simulate(
    policy: SimulatedPolicy, fleet: SimulatedFleet, arrivals: Sequence[float], scenario: ChaosScenario
) -> ChaosResult:
    """Route every arrival, and return what came of them after the warm-up."""
    ends: list[tuple[float, int, int, SimulatedAnswer]] = []
    order = count()
    log: list[tuple[float, int, SimulatedAnswer]] = []
    ejected: list[frozenset[int]] = []
    next_tick_s = TICK_S
    for now_s in arrivals:
        while next_tick_s <= now_s:
            _finish(policy, ends, next_tick_s)
            policy.tick(next_tick_s, is_blind=scenario.is_blind(next_tick_s))
            ejected.append(policy.ejected(next_tick_s))
            next_tick_s += TICK_S
        _finish(policy, ends, now_s)
        chosen = policy.choose(now_s)
        answer = fleet.serve(chosen, now_s)
        heapq.heappush(ends, (answer.end_s, next(order), chosen, answer))
        log.append((now_s, chosen, answer))
    counted = [each for each in log if each[0] >= WARM_UP_S]
    times = sorted(answer.latency_s for _, _, answer in counted if answer.result is UpstreamResult.SUCCESS)
    entries = _entries(ejected)
    return ChaosResult(
        policy=policy.name,
        requests=len(counted),
        breached=sum(answer.is_breached for _, _, answer in counted),
        p99_s=times[int(len(times) * 0.99)] if times else 0.0,
        ejections=sum(entries.values()),
        max_flaps=max(0, max(entries.values(), default=0) - 1),
        max_ejected_share=max((len(out) for out in ejected), default=0) / len(fleet.names),
        recovery_s=_recovery_s(log, scenario),
    )


def _finish(
    policy: SimulatedPolicy, ends: list[tuple[float, int, int, SimulatedAnswer]], until_s: float
) -> None:
    while ends and ends[0][0] <= until_s:
        end_s, _, chosen, answer = heapq.heappop(ends)
        policy.ended(chosen, end_s, answer)


def _entries(ejected: Sequence[frozenset[int]]) -> dict[int, int]:
    """Count how often each deployment was ejected."""
    entries: dict[int, int] = {}
    before: frozenset[int] = frozenset()
    for now in ejected:
        for deployment in now - before:
            entries[deployment] = entries.get(deployment, 0) + 1
        before = now
    return entries


def _recovery_s(log: Sequence[tuple[float, int, SimulatedAnswer]], scenario: ChaosScenario) -> float | None:
    def share(start_s: float, end_s: float) -> float:
        within = [chosen for now_s, chosen, _ in log if start_s <= now_s < end_s]
        return sum(chosen < scenario.struck for chosen in within) / len(within) if within else 0.0

    usual = share(WARM_UP_S, FAULT_START_S)
    start_s = scenario.end_s
    while start_s + _BIN_S <= DURATION_S:
        if share(start_s, start_s + _BIN_S) >= _RECOVERED_SHARE * usual:
            return start_s - scenario.end_s
        start_s += _BIN_S
    return None
