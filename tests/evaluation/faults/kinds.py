"""Every kind of fault by its name, and the one in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.evaluation.faults import demand, errors, latency, outage, quality, routing, telemetry
from tests.evaluation.scene import Scene
from tests.evaluation.traffic import Sent

Inject = Callable[[Scene, Sequence[Sent]], None]

HEALTHY = "healthy but noisy"


def _two(scene: Scene, history: Sequence[Sent]) -> None:
    """Two faults that have nothing to do with each other, on two deployments."""
    for inject in scene.chance.sample((latency.step, errors.burst, errors.capacity), 2):
        inject(scene, history)


def _nothing(_scene: Scene, _history: Sequence[Sent]) -> None:
    """Only noise, decoys and the daily swing."""


KINDS: dict[str, Inject] = {
    "latency step": latency.step,
    "latency ramp": latency.ramp,
    "error burst": errors.burst,
    "capacity loss": errors.capacity,
    "bad configuration": errors.configuration,
    "bad router rollout": routing.rollout,
    "quality drop": quality.drop,
    "budget exhaustion": demand.budget,
    "traffic surge": demand.surge,
    "cascading fallback": outage.cascade,
    "flapping": outage.flapping,
    "maintenance": outage.maintenance,
    "telemetry gap": telemetry.gap,
    "two faults": _two,
    HEALTHY: _nothing,
}
