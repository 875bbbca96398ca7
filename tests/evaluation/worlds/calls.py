"""The requests of a world as columns: what was asked, where it went, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from tests.evaluation.worlds.arrivals import Ints, draw_arrivals
from tests.evaluation.worlds.effect import Effect, Floats, What
from tests.evaluation.worlds.gateway import TASKS, Customer, Gateway, Slice

Mask = npt.NDArray[np.bool_]
_PROMPT = (5.9, 7.6, 6.9, 7.2)
_COMPLETION = (5.2, 5.4, 6.1, 4.2)
"""Means of the logarithm of tokens, by task."""
_PREFILL = 0.15
"""Time of a token that is read, in that of one that is written."""
_RETRIED = 0.35
_SCORED = 0.12
_MAX_MS = 60_000
_ORDINARY = (("error", "upstream_503"), ("timeout", "upstream_timeout"), ("rate_limited", "rate_limit"))


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """One column each; calls are in the order of time."""

    gateway: Gateway
    outcomes: tuple[tuple[str, str], ...]
    """Status and code by the numbers in `outcome`; the first is success."""
    at: Floats
    user: Ints
    served: Ints
    task: Ints
    prompt: Ints
    completion: Ints
    work_ms: Ints
    """What an answer takes; `latency_ms` is less, or the limit, where there is none."""
    latency_ms: Ints
    outcome: Ints
    cost_usd: Floats
    score: Floats
    """NaN: not scored by the end of the history."""
    scored_at: Floats

    @property
    def failed(self) -> Mask:
        """Those without an answer."""
        failed: Mask = self.outcome > 0
        return failed

    def within(self, where: Slice, begin: float = 0, end: float = np.inf) -> Mask:
        """Those of a slice and a span of time."""
        found = (self.at >= begin) & (self.at < end)
        for dimension, value in where.values.items():
            found &= self._has(dimension, value)
        return found

    def _has(self, dimension: str, value: str) -> Mask:
        gateway = self.gateway
        if dimension == "task":
            return np.equal(self.task, TASKS.index(value))
        if dimension in ("user", "tier"):
            attribute = "name" if dimension == "user" else "tier"
            return np.array([getattr(one, attribute) == value for one in gateway.customers])[self.user]
        attribute = "name" if dimension == "deployment" else dimension
        return np.array([getattr(one, attribute) == value for one in gateway.served])[self.served]

    def chosen(self, places: Ints) -> Calls:
        """Some of the calls, as often as they are named."""
        columns = {field.name: getattr(self, field.name)[places] for field in fields(self)[2:]}
        return replace(self, **columns)


def draw_calls(gateway: Gateway, effects: Sequence[Effect], seed: Sequence[int]) -> Calls:
    """Draw all calls; without effects the same seed draws what would have been."""
    streams = [np.random.default_rng([*seed, stage]) for stage in range(4)]
    at, user = draw_arrivals(gateway, effects, streams[0])
    count, zeros = len(at), np.zeros(len(at), dtype=np.int64)
    tasks = np.array([one.tasks for one in gateway.customers])
    calls = Calls(
        gateway, (("success", ""), *_ORDINARY, *dict.fromkeys((e.status, e.code) for e in effects if e.code)),
        at, user, zeros, _pick(tasks[user], streams[1]), zeros, zeros, zeros, zeros, zeros,
        np.zeros(count), np.full(count, np.nan), np.full(count, np.inf),
    )  # fmt: skip
    calls = replace(calls, served=_route(calls, effects, streams[1]))
    calls = _with_work(calls, effects, streams[2])
    calls = _with_outcomes(calls, effects, streams[3])
    return _scored(calls, effects, streams[3])


def prompt_shares(customer: Customer) -> tuple[float, float]:
    """The share of what a customer's requests cost, and of what they take, that their prompts make."""
    read = customer.wordiness * np.exp(np.array(_PROMPT) + 0.32) * 1.017
    written = np.exp(np.array(_COMPLETION) + 0.245)
    tasks = np.array(customer.tasks)
    cost, work = tasks @ (read + 4 * written), tasks @ (_PREFILL * read + written + 25)
    return float(tasks @ read / cost), float(tasks @ read * _PREFILL / work)


def _pick(shares: Floats, chance: np.random.Generator) -> Ints:
    """Draw a place in each row of shares."""
    drawn = chance.uniform(0, 1, (len(shares), 1)) * shares.sum(axis=1, keepdims=True)
    picked: Ints = (shares.cumsum(axis=1) < drawn).sum(axis=1)
    most: Ints = np.minimum(picked, shares.shape[1] - 1)
    return most


def _route(calls: Calls, effects: Sequence[Effect], chance: np.random.Generator) -> Ints:
    served = calls.gateway.served
    shares = np.array([[c.models[one.model] * one.share for one in served] for c in calls.gateway.customers])
    picked = _pick(shares[calls.user], chance)
    for effect in effects:
        if effect.what is What.MODEL:
            routed = replace(calls, served=picked)
            moved = routed.within(effect.where) & (
                chance.uniform(0, 1, len(picked)) < effect.size * effect.when(calls.at)
            )
            others = np.array([one.share if one.model == effect.to else 0.0 for one in served])
            picked = np.where(moved, chance.choice(len(served), len(picked), p=others / others.sum()), picked)
    return picked


def _factors(calls: Calls, effects: Sequence[Effect], what: What) -> Floats:
    factors = np.ones(len(calls.at))
    for effect in effects:
        if effect.what is what:
            factors *= np.where(calls.within(effect.where), effect.factor(calls.at), 1)
    return factors


def _with_work(calls: Calls, effects: Sequence[Effect], chance: np.random.Generator) -> Calls:
    """Draw tokens with heavy tails, and how long they take if nothing fails."""
    count = len(calls.at)
    wordiness = np.array([one.wordiness for one in calls.gateway.customers])[calls.user]
    rare = np.where(chance.uniform(0, 1, count) < 0.02, 1 + chance.pareto(2.2, count), 1)
    prompt = chance.lognormal(np.array(_PROMPT)[calls.task], 0.8) * wordiness * rare
    prompt = np.clip(prompt * _factors(calls, effects, What.PROMPT), 8, 150_000)
    completion = np.clip(chance.lognormal(np.array(_COMPLETION)[calls.task], 0.7), 1, 8_000)
    first = np.array([one.first_token_ms for one in calls.gateway.served])[calls.served]
    pace = np.array([one.ms_per_token for one in calls.gateway.served])[calls.served]
    busy = 1 + 0.08 * np.sin((calls.at / 3600 - 8) / 24 * 2 * np.pi)
    slow = np.where(chance.uniform(0, 1, count) < 0.01, 1 + chance.pareto(1.8, count), 1)
    took = (first + pace * (completion + _PREFILL * prompt)) * busy * slow * chance.lognormal(0, 0.3, count)
    took *= _factors(calls, effects, What.LATENCY)
    whole = (prompt.astype(np.int64), completion.astype(np.int64), np.minimum(took, 300_000).astype(np.int64))
    return replace(calls, prompt=whole[0], completion=whole[1], work_ms=whole[2])


def _with_outcomes(calls: Calls, effects: Sequence[Effect], chance: np.random.Generator) -> Calls:
    """Let some fail, and their clients try again: once by habit, more often where an effect says so."""
    waves = [_judged(calls, effects, chance)]
    for turn in range(1 + max((effect.retries for effect in effects), default=0)):
        last = waves[-1]
        insist = np.full(len(last.at), _RETRIED if turn == 0 else 0.0)
        for effect in effects:
            if effect.what is What.ERRORS and turn < effect.retries:
                insist[last.outcome == last.outcomes.index((effect.status, effect.code))] = 0.95
        again = np.nonzero(last.failed & (chance.uniform(0, 1, len(last.at)) < insist))[0]
        retried = last.chosen(again)
        later = 2.0 ** (turn + 1) * chance.uniform(0.7, 1.5, len(again))
        waves.append(_judged(replace(retried, at=retried.at + later), effects, chance))
    columns = {
        field.name: np.concatenate([getattr(wave, field.name) for wave in waves])
        for field in fields(calls)[2:]
    }
    whole = replace(calls, **columns)  # type: ignore[arg-type]
    order = np.argsort(whole.at, kind="stable")
    return whole.chosen(order[whole.at[order] < calls.gateway.seconds])


def _judged(calls: Calls, effects: Sequence[Effect], chance: np.random.Generator) -> Calls:
    """Draw whether each call fails, how long that takes, and what an answer costs."""
    count = len(calls.at)
    served = calls.gateway.served
    failing = np.array([one.failing for one in served])[calls.served]
    kind = 1 + _pick(np.tile((0.6, 0.3, 0.1), (count, 1)), chance)
    outcome = np.where(chance.uniform(0, 1, count) < failing, kind, 0)
    for effect in effects:
        if effect.what is What.ERRORS:
            hit = calls.within(effect.where) & (
                chance.uniform(0, 1, count) < effect.size * effect.when(calls.at)
            )
            outcome[hit] = calls.outcomes.index((effect.status, effect.code))
    status = np.array([name for name, _ in calls.outcomes])[outcome]
    latency = np.where(status == "timeout", _MAX_MS, calls.work_ms)
    latency = np.where(status == "rate_limited", chance.integers(10, 60, count), latency)
    latency = np.where(status == "error", chance.integers(20, 900, count), latency)
    price = np.array([one.usd_per_million for one in served])[calls.served] / 1e6
    cost = np.where(outcome == 0, (calls.prompt + 4 * calls.completion) * price, 0)
    return replace(calls, outcome=outcome, latency_ms=latency, cost_usd=cost)


def _scored(calls: Calls, effects: Sequence[Effect], chance: np.random.Generator) -> Calls:
    """Score some of the answers; scores come with a delay."""
    count = len(calls.at)
    level = np.array([0.78 + 0.03 * (n % 4) for n in range(len(calls.gateway.served))])[calls.served]
    for effect in effects:
        if effect.what is What.QUALITY:
            level = level + np.where(calls.within(effect.where), effect.size * effect.when(calls.at), 0)
    score = np.clip(level + chance.normal(0, 0.1, count), 0, 1)
    scored_at = calls.at + chance.uniform(600, 7200, count)
    known = (chance.uniform(0, 1, count) < _SCORED) & ~calls.failed & (scored_at < calls.gateway.seconds)
    return replace(calls, score=np.where(known, score, np.nan), scored_at=np.where(known, scored_at, np.inf))
