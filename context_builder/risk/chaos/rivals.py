"""The policies that this one is compared with, as they are usually built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol

from context_builder.risk.chaos.fleet import SimulatedAnswer
from context_builder.risk.policy.outcomes import UpstreamResult


class SimulatedPolicy(Protocol):
    """Chooses a deployment for each request, by number, and learns how requests end."""

    name: str

    def choose(self, now_s: float) -> int:
        """Return where a request goes."""
        ...

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Learn how a request ended."""
        ...

    def tick(self, now_s: float, *, is_blind: bool) -> None:
        """Do what is done every few seconds; `is_blind` is lost telemetry."""
        ...

    def ejected(self, now_s: float) -> frozenset[int]:
        """Return the deployments that get no traffic."""
        ...


class RoundRobin:
    """Each deployment in turn."""

    name = "round robin"

    def __init__(self, deployments: int, _random: Random) -> None:
        self._count, self._next = deployments, 0

    def choose(self, now_s: float) -> int:
        """Return the next one that is not ejected."""
        out = self.ejected(now_s)
        for _ in range(self._count):
            self._next = (self._next + 1) % self._count
            if self._next not in out:
                break
        return self._next

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Learn nothing."""

    def tick(self, now_s: float, *, is_blind: bool) -> None:
        """Do nothing."""

    def ejected(self, now_s: float) -> frozenset[int]:  # noqa: ARG002  of the protocol
        """Return none."""
        return frozenset()


class PlainBreaker(RoundRobin):
    """Round robin with Envoy's outlier detection: 5 failures in a row eject for 30 s times the ejections."""

    name = "plain breaker"
    _FAILURES, _BASE_S, _MAX_S = 5, 30.0, 300.0

    def __init__(self, deployments: int, random: Random) -> None:
        super().__init__(deployments, random)
        self._in_row = [0] * deployments
        self._ejections = [0] * deployments
        self._until_s = [0.0] * deployments

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Count failures in a row; a 429 is none."""
        has_failed = answer.result is UpstreamResult.FAILURE
        self._in_row[deployment] = self._in_row[deployment] + 1 if has_failed else 0
        if self._in_row[deployment] >= self._FAILURES and now_s >= self._until_s[deployment]:
            others = self.ejected(now_s)
            if len(others) < max(1, int(self._count * 0.1)):
                self._ejections[deployment] += 1
                stay_s = min(self._MAX_S, self._BASE_S * self._ejections[deployment])
                self._until_s[deployment], self._in_row[deployment] = now_s + stay_s, 0

    def ejected(self, now_s: float) -> frozenset[int]:
        """Return those whose ejection lasts."""
        return frozenset(number for number, until in enumerate(self._until_s) if now_s < until)


@dataclass(slots=True)
class _Peak:
    ewma_s: float = 0.0
    updated_s: float = 0.0
    in_flight: int = 0

    def decay(self, now_s: float, decay_s: float) -> float:
        return math.exp(-max(0.0, now_s - self.updated_s) / decay_s)


class PeakEwma:
    """Two random choices by peak EWMA of the latency times requests in flight, as in Finagle and tower."""

    name = "P2C + peak EWMA"
    _DECAY_S = 10.0

    def __init__(self, deployments: int, random: Random) -> None:
        self._random = random
        self._peaks = [_Peak() for _ in range(deployments)]

    def choose(self, now_s: float) -> int:
        """Return the cheaper one of two drawn."""
        out = self.ejected(now_s)
        usable = [number for number in range(len(self._peaks)) if number not in out]
        first, second = self._random.sample(usable, 2)
        chosen = first if self._cost(first, now_s) <= self._cost(second, now_s) else second
        self._peaks[chosen].in_flight += 1
        return chosen

    def _cost(self, deployment: int, now_s: float) -> float:
        peak = self._peaks[deployment]
        return peak.ewma_s * peak.decay(now_s, self._DECAY_S) * (peak.in_flight + 1)

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Take in a latency, whatever the answer was."""
        peak = self._peaks[deployment]
        decay = peak.decay(now_s, self._DECAY_S)
        if answer.latency_s > peak.ewma_s:
            peak.ewma_s = answer.latency_s
        else:
            peak.ewma_s = peak.ewma_s * decay + answer.latency_s * (1 - decay)
        peak.updated_s = now_s
        peak.in_flight -= 1

    def tick(self, now_s: float, *, is_blind: bool) -> None:
        """Do nothing."""

    def ejected(self, now_s: float) -> frozenset[int]:  # noqa: ARG002  of the protocol
        """Return none."""
        return frozenset()


class PeakEwmaWithBreaker(PeakEwma):
    """Peak EWMA among those that the plain breaker does not eject: the strongest of the usual ones."""

    name = "peak EWMA + breaker"

    def __init__(self, deployments: int, random: Random) -> None:
        super().__init__(deployments, random)
        self._breaker = PlainBreaker(deployments, random)

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Take in a latency, and count failures in a row."""
        super().ended(deployment, now_s, answer)
        self._breaker.ended(deployment, now_s, answer)

    def ejected(self, now_s: float) -> frozenset[int]:
        """Return those whose ejection lasts."""
        return self._breaker.ejected(now_s)
