"""All policies against one scenario in one run: the same arrivals, the same luck of each request."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from context_builder.risk.chaos.arrivals import poisson_with_bursts
from context_builder.risk.chaos.candidate import RiskPolicy, SimulatedForecaster, baseline_relative
from context_builder.risk.chaos.faults import SCENARIOS, ChaosScenario
from context_builder.risk.chaos.fleet import SimulatedFleet
from context_builder.risk.chaos.rivals import PeakEwma, PeakEwmaWithBreaker, PlainBreaker, RoundRobin
from context_builder.risk.chaos.simulation import DURATION_S, ChaosResult, simulate

LOAD = 0.5
"""Arrivals as a share of what the fleet can answer, outside bursts: it can spare one deployment of six."""
RIVALS = (PeakEwmaWithBreaker, PeakEwma, PlainBreaker, RoundRobin)


def mean_rate(load: float = LOAD) -> float:
    """Return the arrivals per second outside bursts."""
    return load * SimulatedFleet(chance(0), SCENARIOS["none"]).capacity_rps


def chance(seed: int) -> Random:
    """Return a random source; a simulation needs a repeatable one."""
    return Random(seed)  # noqa: S311  no secret depends on it


def compare(
    scenario: ChaosScenario,
    seed: int,
    *,
    arrivals: Sequence[float] | None = None,
    load: float = LOAD,
    forecaster: SimulatedForecaster = baseline_relative,
) -> tuple[ChaosResult, ...]:
    """Return what came of each policy, this one first; the same seed gives the same results."""
    if arrivals is None:
        arrivals = list(poisson_with_bursts(chance(seed), rate=mean_rate(load), duration_s=DURATION_S))
    fleets = [SimulatedFleet(chance(seed + 1), scenario) for _ in range(len(RIVALS) + 1)]
    own = RiskPolicy(fleets[0].names, chance(seed + 2), forecaster)
    rivals = [rival(len(fleets[0].names), chance(seed + 2)) for rival in RIVALS]
    return tuple(
        simulate(policy, fleet, arrivals, scenario)
        for policy, fleet in zip((own, *rivals), fleets, strict=True)
    )
