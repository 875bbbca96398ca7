"""The scenarios: which deployments suffer what, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

FAULT_START_S, FAULT_END_S = 180.0, 480.0
_RAMP_FACTOR = 8.0
_FLAP_S = 45.0
_WARM_UP_S = 60.0
_WARM_UP_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """What one deployment suffers at one moment."""

    slowdown: float = 1.0
    """Factor on the time that a request takes."""
    failing: float = 0.0
    """Share of requests answered with a 5xx after `answer_s`."""
    refusing: float = 0.0
    """Share of requests answered with a 429 after `answer_s`."""
    answer_s: float = 0.05


_NO_FAULT = InjectedFault()


@dataclass(frozen=True, slots=True)
class ChaosScenario:
    """A fault of known truth. Times are seconds since the start."""

    name: str
    summary: str
    """In words, for a table."""
    fault: Callable[[float], InjectedFault]
    """What a struck deployment suffers at a time after FAULT_START_S."""
    struck: int = 1
    """How many deployments, the first ones of the fleet."""
    end_s: float = FAULT_END_S
    loses_telemetry: bool = False
    """True if nothing is observed while the fault lasts."""

    def fault_of(self, deployment: int, now_s: float) -> InjectedFault:
        """Return what a deployment suffers at a time."""
        return self.fault(now_s) if deployment < self.struck and now_s >= FAULT_START_S else _NO_FAULT

    def is_blind(self, now_s: float) -> bool:
        """Return whether telemetry is lost at a time."""
        return self.loses_telemetry and FAULT_START_S <= now_s < self.end_s


def _during(fault: InjectedFault, end_s: float = FAULT_END_S) -> Callable[[float], InjectedFault]:
    return lambda now_s: fault if now_s < end_s else _NO_FAULT


def _ramp(now_s: float) -> InjectedFault:
    part = (now_s - FAULT_START_S) / (FAULT_END_S - FAULT_START_S)
    return InjectedFault(slowdown=1 + (_RAMP_FACTOR - 1) * part) if part < 1 else _NO_FAULT


def _flapping(now_s: float) -> InjectedFault:
    is_bad = now_s < FAULT_END_S and int((now_s - FAULT_START_S) / _FLAP_S) % 2 == 0
    return InjectedFault(failing=0.9) if is_bad else _NO_FAULT


_OUTAGE_END_S = FAULT_START_S + 120.0


def _recovery(now_s: float) -> InjectedFault:
    if now_s < _OUTAGE_END_S:
        return InjectedFault(failing=1.0, answer_s=2.0)
    cold = max(0.0, 1 - (now_s - _OUTAGE_END_S) / _WARM_UP_S)
    return InjectedFault(slowdown=1 + (_WARM_UP_FACTOR - 1) * cold)


SCENARIOS: Mapping[str, ChaosScenario] = {
    each.name: each
    for each in (
        ChaosScenario("none", "nothing is wrong", _during(_NO_FAULT)),
        ChaosScenario("brown-out", "answers take 6 times as long", _during(InjectedFault(slowdown=6.0))),
        ChaosScenario("latency-ramp", "answers get slower, up to 8 times", _ramp),
        ChaosScenario(
            "429-storm", "70 % of requests are refused at once", _during(InjectedFault(refusing=0.7))
        ),
        ChaosScenario("error-burst", "80 % of requests fail at once", _during(InjectedFault(failing=0.8))),
        ChaosScenario("flapping", "45 s of failures, 45 s without, in turn", _flapping),
        ChaosScenario("recovery", "down for 2 minutes, then cold for one", _recovery, end_s=_OUTAGE_END_S),
        ChaosScenario(
            "correlated",
            "4 deployments fail half of their requests",
            _during(InjectedFault(failing=0.5)),
            struck=4,
        ),
        ChaosScenario(
            "telemetry-loss",
            "answers take 6 times as long, and nothing is observed",
            _during(InjectedFault(slowdown=6.0)),
            loses_telemetry=True,
        ),
    )
}
