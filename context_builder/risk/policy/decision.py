"""The routing decision: one deployment among the candidates of a request. No I/O, no model, no waiting."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from context_builder.errors import ContextBuilderError
from context_builder.risk.policy.breaker import BreakerState
from context_builder.risk.policy.limits import (
    EXPLORED,
    LARGE_TOKENS,
    PANIC_SHARE,
    PROBE_CHANCE,
    STALE_AFTER_S,
)
from context_builder.risk.policy.live_load import LiveLoad
from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictTable

_MAX_SIMILAR = 3
_CAREFUL_TIER = "premium"
_UNKNOWN_RISK = 0.5
"""Breach probability that the confidence assumes where there is no forecast."""


class UnknownCandidates(ContextBuilderError, ValueError):
    """Candidates are no deployments, or there are none; the message names similar ones."""


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """What a routing decision knows of a request."""

    candidates: tuple[str, ...] = ()
    """Names of deployments, `model/backend`; empty: all of the fleet."""
    tier: str = ""
    """A premium request is never a probe nor an exploration."""
    prompt_tokens: int = 0
    """0: not known."""
    max_tokens: int = 0
    task: str = ""
    """`task_type` of the request log; empty: not known."""

    @property
    def may_explore(self) -> bool:
        """True if a bad answer would cost little."""
        return self.tier != _CAREFUL_TIER and self.prompt_tokens + self.max_tokens < LARGE_TOKENS


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Where a request goes, and why."""

    request: RouteRequest
    table: VerdictTable
    """What it was decided on."""
    chosen: RoutingVerdict
    advised: RoutingVerdict
    """What the policy advises: in shadow mode perhaps another one."""
    reason: str
    considered: tuple[RoutingVerdict, ...]
    """The candidates, in the order of the request."""
    panic: str = ""
    """Why ejected candidates were used all the same; empty if they were not."""
    is_probe: bool = False

    def expected_ms(self, verdict: RoutingVerdict) -> float | None:
        """Return how long the request is expected to take at a deployment; None: nothing is known of that."""
        request = self.request
        sizes = request.prompt_tokens or None, request.max_tokens or None
        return self.table.latency.expected_ms(verdict.deployment, request.task, *sizes)

    @property
    def alternatives(self) -> tuple[RoutingVerdict, ...]:
        """Return the other candidates, the best first."""
        others = (each for each in self.considered if each is not self.chosen)
        return tuple(sorted(others, key=lambda each: (-each.share, each.deployment)))

    @property
    def confidence(self) -> float:
        """Return how likely the chosen one stays within its limit, from 0 to 1; half of it in a panic."""
        risk = self.chosen.probability
        staying = 1 - (_UNKNOWN_RISK if risk is None else risk)
        return staying / 2 if self.panic or self.chosen.is_ejected else staying


class _Choice(NamedTuple):
    """One draw: a candidate with the reason for it. A tuple, since a frozen dataclass takes 2 us to make."""

    verdict: RoutingVerdict
    reason: str
    panic: str = ""
    is_probe: bool = False


class Router:
    """Decides on a table; the same random source and live signals give the same decisions."""

    def __init__(self, random: Random, live: LiveLoad | None = None) -> None:
        """`live` is what this process sees of its own requests; None if their ends are not reported."""
        self._random = random
        self._live = live
        self._drawn = "drawn by the shares" if live is None else "the better of two drawn by their shares"

    def decide(
        self, request: RouteRequest, table: VerdictTable, *, age_s: float = 0.0, now_s: float = 0.0
    ) -> RouteDecision:
        """Choose a deployment. `age_s` is the table's age, `now_s` the clock of the live signals.

        Raises:
            UnknownCandidates: A candidate is not in the table, or the table is empty.
        """
        considered = candidates_of(request, table)
        if age_s > STALE_AFTER_S:
            reason = f"the verdicts are {age_s:.0f} s old and not acted on: usual shares"
            usual = self._usual(considered, reason, now_s)
            return RouteDecision(request, table, usual.verdict, usual.verdict, reason, considered)
        advised = self._advise(request, considered, now_s)
        if not table.shadow:
            verdict, panic = advised.verdict, advised.panic
            return RouteDecision(
                request, table, verdict, verdict, advised.reason, considered, panic, advised.is_probe
            )
        usual = self._usual(considered, "shadow mode: usual shares", now_s)
        reason = f"{usual.reason}; the policy advises {advised.verdict.deployment}: {advised.reason}"
        return RouteDecision(
            request, table, usual.verdict, advised.verdict, reason, considered, advised.panic
        )

    def _advise(self, request: RouteRequest, considered: tuple[RoutingVerdict, ...], now_s: float) -> _Choice:
        usable = [each for each in considered if not each.is_ejected and not self._is_suspended(each, now_s)]
        if len(usable) < len(considered) * PANIC_SHARE:
            panic = f"{len(considered) - len(usable)} of {len(considered)} candidates are ejected"
            verdict = self._draw(considered, [each.base_share for each in considered], now_s)
            return _Choice(verdict, f"panic: {panic}, so that all of them are used", panic)
        random = self._random.random
        if request.may_explore:
            if len(usable) < len(considered) and (probe := self._probe(considered)) is not None:
                return _Choice(probe, f"a probe: {probe.reason}", is_probe=True)
            if random() < EXPLORED:
                return _Choice(usable[int(random() * len(usable))], "exploration of all usable candidates")
        verdict = self._draw(usable, [each.share for each in usable], now_s)
        return _Choice(verdict, verdict.reason or self._drawn)

    def _usual(self, considered: Sequence[RoutingVerdict], reason: str, now_s: float) -> _Choice:
        return _Choice(self._draw(considered, [each.base_share for each in considered], now_s), reason)

    def _probe(self, considered: Sequence[RoutingVerdict]) -> RoutingVerdict | None:
        for each in considered:
            is_wanted = each.state is BreakerState.HALF_OPEN and len(each.tickets) > 0
            if is_wanted and self._random.random() < PROBE_CHANCE and each.tickets.take():
                return each
        return None

    def _is_suspended(self, verdict: RoutingVerdict, now_s: float) -> bool:
        return self._live is not None and self._live.is_suspended(verdict.deployment, now_s)

    def _draw(self, among: Sequence[RoutingVerdict], shares: list[float], now_s: float) -> RoutingVerdict:
        """Draw by shares: with live signals two, of which the one with the lower cost wins."""
        if self._live is None or len(among) == 1:
            return among[self._drawn_index(shares)]
        usual = [each.base_share for each in among]
        first = self._drawn_index(usual)
        usual[first] = 0.0
        second = self._drawn_index(usual)
        costs = [
            self._live.cost(among[each].deployment, now_s) * among[each].base_share / shares[each]
            for each in (first, second)
        ]
        return among[first if costs[0] <= costs[1] else second]

    def _drawn_index(self, shares: Sequence[float]) -> int:
        total = sum(shares)
        if total <= 0:
            return int(self._random.random() * len(shares))
        left = self._random.random() * total
        last = 0
        for index, share in enumerate(shares):
            if share > 0:
                last = index
                left -= share
                if left < 0:
                    break
        return last


def candidates_of(request: RouteRequest, table: VerdictTable) -> tuple[RoutingVerdict, ...]:
    """Return the verdicts of the candidates, each once. Raises UnknownCandidates."""
    known = table.verdicts
    if not known:
        raise UnknownCandidates("no deployment is known yet; one becomes known by its first request")
    if not request.candidates:
        return tuple(known.values())
    try:
        return tuple([known[name] for name in dict.fromkeys(request.candidates)])
    except KeyError:
        pass
    unknown = [name for name in dict.fromkeys(request.candidates) if name not in known]
    # By the alphabet: comparing thousands of names with each other would hold up everyone else.
    ordered = sorted(known)
    parts = []
    for name in unknown[:_MAX_SIMILAR]:
        place = bisect(ordered, name)
        near = (place - 1, place, place - 2)
        similar = [ordered[each] for each in near if 0 <= each < len(ordered)]
        parts.append(f"{name[:100]!r} (known are {', '.join(similar)})")
    shown = "; ".join(parts)
    more = f"; and {len(unknown) - _MAX_SIMILAR} more" if len(unknown) > _MAX_SIMILAR else ""
    raise UnknownCandidates(f"candidates that are no deployments: {shown}{more}")
