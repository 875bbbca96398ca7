"""This project's policy in the simulation, and the small forecaster that it uses where no other is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from context_builder.risk.chaos.fleet import LIMIT_S, SimulatedAnswer
from context_builder.risk.outlook import Outlook
from context_builder.risk.policy.breaker import BreakerTransition
from context_builder.risk.policy.controller import RiskController
from context_builder.risk.policy.decision import Router, RouteRequest
from context_builder.risk.policy.live_load import LiveLoad
from context_builder.risk.policy.outcomes import Observed, UpstreamResult
from context_builder.risk.policy.verdicts import VerdictTable

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_ALL = RouteRequest()
_HISTORY = 120
"""Ticks that a forecaster sees."""
_MIN_HISTORY = 6
MIN_TIMED = 10
"""Answers in a tick below which it has no p95."""
_FAST, _SLOW = 0.3, 0.02
"""Weights of the newest p95 in the recent and in the usual level."""
_AHEAD_TICKS = 3
_SOFTNESS = 0.15
"""Of the logistic function, as a share of the limit."""

SimulatedForecaster = Callable[[datetime, Mapping[str, Sequence[float]]], Mapping[str, Outlook]]
"""From the moment and the p95 latencies in ms of the last ticks, by deployment, to outlooks."""


def baseline_relative(moment: datetime, history: Mapping[str, Sequence[float]]) -> dict[str, Outlook]:
    """Forecast a breach from the recent level of the p95 and its rise, relative to the limit."""
    return {name: _outlook(moment, p95s) for name, p95s in history.items()}


def _outlook(moment: datetime, p95s: Sequence[float]) -> Outlook:
    limit_ms = LIMIT_S * 1000
    has_enough = len(p95s) >= _MIN_HISTORY
    recent = before = usual = p95s[0] if p95s else 0.0
    for p95 in p95s:
        before, recent = recent, recent + _FAST * (p95 - recent)
        usual += _SLOW * (p95 - usual)
    expected = recent + _AHEAD_TICKS * max(0.0, recent - before)
    margin = max(-50.0, min(50.0, (expected / limit_ms - 1) / _SOFTNESS))
    return Outlook(
        deployment_id=0,
        moment=moment,
        expert="baseline",
        skill=None,
        matured=0,
        latency_ms=expected if has_enough else None,
        low_ms=None,
        high_ms=None,
        baseline_ms=usual,
        limit_ms=limit_ms,
        load_rps=None,
        headroom=1 - recent / limit_ms,
        breach_probability=1 / (1 + math.exp(-margin)) if has_enough else None,
        silence="" if has_enough else f"fewer than {_MIN_HISTORY} points",
        anomaly="",
        last_false_alarm=None,
    )


class RiskPolicy:
    """The breaker, weights and decision of this project, on what they observe in the simulation."""

    name = "this policy"

    def __init__(
        self, names: Sequence[str], random: Random, forecaster: SimulatedForecaster = baseline_relative
    ) -> None:
        self.transitions: list[BreakerTransition] = []
        self._names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(names)}
        self._live = LiveLoad()
        self._router = Router(random, self._live)
        self._controller = RiskController(random, shadow=False)
        self._forecaster = forecaster
        self._keys: dict[tuple[int, float], list[int]] = {}
        """Keys of the requests in flight, by deployment and start."""
        self._history: dict[str, list[float]] = {name: [] for name in names}
        self._seen: dict[str, list[SimulatedAnswer]] = {name: [] for name in names}
        self.table: VerdictTable = self._controller.table
        self.tick(0.0, is_blind=False)

    def choose(self, now_s: float) -> int:
        """Decide as a router would, and keep the key of the request for its end."""
        chosen = self._router.decide(_ALL, self.table, now_s=now_s).chosen.deployment
        number = self._numbers[chosen]
        self._keys.setdefault((number, now_s), []).append(self._live.started(chosen, now_s))
        return number

    def ended(self, deployment: int, now_s: float, answer: SimulatedAnswer) -> None:
        """Report the end of a request to the live signals and to the next tick."""
        name = self._names[deployment]
        keys = self._keys[deployment, answer.start_s]
        self._live.ended(name, keys.pop(), now_s, answer.result)
        if not keys:
            del self._keys[deployment, answer.start_s]
        self._seen[name].append(answer)

    def tick(self, now_s: float, *, is_blind: bool) -> None:
        """Pass on what was observed since the last tick, with the forecasts, and take the new table."""
        moment = _EPOCH + timedelta(seconds=now_s)
        observed = {}
        for name, answers in self._seen.items():
            if not is_blind:
                observed[name] = _observed(answers)
                times = sorted(one.latency_s for one in answers if one.result is UpstreamResult.SUCCESS)
                if len(times) >= MIN_TIMED:
                    self._history[name].append(1000 * times[int(len(times) * 0.95)])
            answers.clear()
        outlooks = (
            {}
            if is_blind
            else self._forecaster(moment, {name: p95s[-_HISTORY:] for name, p95s in self._history.items()})
        )
        base = dict.fromkeys(self._names, 1.0)
        self.table, transitions = self._controller.tick(moment, base, observed, outlooks)
        self.transitions += transitions

    def ejected(self, now_s: float) -> frozenset[int]:  # noqa: ARG002  of the protocol
        """Return the deployments that are open or half-open."""
        return frozenset(self._numbers[name] for name, each in self.table.verdicts.items() if each.is_ejected)


def _observed(answers: Sequence[SimulatedAnswer]) -> Observed:
    counts = dict.fromkeys(UpstreamResult, 0)
    for one in answers:
        counts[one.result] += 1
    slow = sum(one.is_breached for one in answers if one.result is UpstreamResult.SUCCESS)
    return Observed(
        counts[UpstreamResult.SUCCESS], counts[UpstreamResult.NEUTRAL], counts[UpstreamResult.FAILURE], slow
    )
