"""How long one request takes at each deployment, learned from the requests that ended. Pure.

The logarithm of a latency is the sum of four effects, each a table: of the deployment, the task, the size of
the prompt and that of the output. So it answers at once, explains itself, and follows a deployment within a
few dozen requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

RATE = 0.1
"""Step of an effect towards a new request, once it is known."""
_OUTPUT_RATE = 0.02
_DRIFT_RATE = 0.1
MIN_REQUESTS = 20
"""Requests of a deployment before anything is expected of it."""
MAX_TASKS = 1_000
"""Tasks that are told apart, the first ones; names made by clients must not fill the memory."""
_MAX_LATENCY_MS = 86_400_000.0
_PRIOR = 10
"""Requests by which tasks and sizes lag behind the deployment, which explains most."""
_MAX_ERROR = 2.0
"""Of a logarithm: one request that took 100 times as long counts as 7 times."""
_SHARE = 0.5
"""Part of an error that each of the four effects takes up."""
_BINS_PER_DOUBLING = 2


class EndedRequest(NamedTuple):
    """A request that was answered."""

    deployment: str
    task: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float


class Effect(NamedTuple):
    """What a value adds to the logarithm of the latency."""

    size: float
    requests: int


_UNKNOWN = Effect(0.0, 0)
_Key = str | int


class RequestLatency:
    """The effects of a fleet, by deployment, task, prompt size and output size."""

    def __init__(self, effects: tuple[Mapping[_Key, Effect], ...] = ({}, {}, {}, {})) -> None:
        """Continue from the effects of another."""
        self._effects: tuple[dict[_Key, Effect], ...] = tuple(dict(each) for each in effects)
        self._drifts: dict[str, float] = {}
        """Mean error of late of each deployment."""
        self._outputs: dict[_Key, Effect] = {}
        """Mean logarithm of the output's size by task: nobody knows it when a request is routed."""

    def copy(self) -> RequestLatency:
        """Return one that does not follow what this one learns from now on."""
        copied = RequestLatency(self._effects)
        copied._outputs = dict(self._outputs)
        return copied

    def keep(self, deployments: Mapping[str, object]) -> None:
        """Drop the deployments that vanished."""
        for name in self._effects[0].keys() - deployments.keys():
            del self._effects[0][name]
            self._drifts.pop(str(name), None)

    def learn(self, ended: EndedRequest) -> None:
        """Take in a request; one without a usable latency is left out."""
        if not (math.isfinite(ended.latency_ms) and ended.latency_ms >= 0):
            return
        output = ended.completion_tokens
        keys = self._keys(ended.deployment, ended.task, ended.prompt_tokens, output)
        error = math.log(min(max(ended.latency_ms, 1.0), _MAX_LATENCY_MS)) - self._sum(keys)
        if ended.deployment not in self._effects[0]:
            # Its first request is all that is known of it, and says nothing of tasks and sizes.
            self._effects[0][ended.deployment] = Effect(error, 1)
            return
        error = max(-_MAX_ERROR, min(_MAX_ERROR, error))
        # What is wrong with all requests of a deployment is its own, and says nothing of tasks and sizes.
        usual = self._drifts.get(ended.deployment, 0.0)
        self._drifts[ended.deployment] = usual + _DRIFT_RATE * (error - usual)
        for place, (table, key) in enumerate(zip(self._effects, keys, strict=True)):
            size, requests = _effect(table, key)
            rate = max(RATE, 1 / (requests + 1 + (_PRIOR if place else 0)))
            table[key] = Effect(size + _SHARE * rate * (error - (usual if place else 0.0)), requests + 1)
        if output is not None:
            mean, requests = self._outputs.get(keys[1], _UNKNOWN)
            rate = max(_OUTPUT_RATE, 1 / (requests + 1))
            self._outputs[keys[1]] = Effect(mean + rate * (math.log1p(max(output, 0)) - mean), requests + 1)

    def expected_ms(
        self, deployment: str, task: str = "", prompt_tokens: int | None = None, max_tokens: int | None = None
    ) -> float | None:
        """Return the latency to expect, or None before MIN_REQUESTS of the deployment.

        The output is as long as usual for the task, at most `max_tokens`. None is what is not known.
        """
        if self._effects[0].get(deployment, _UNKNOWN).requests < MIN_REQUESTS:
            return None
        usual = self._outputs.get(self._task(task))
        output = max_tokens if usual is None else round(math.expm1(usual.size))
        if output is not None and max_tokens is not None:
            output = min(output, max_tokens)
        return math.exp(self._sum(self._keys(deployment, task, prompt_tokens, output)))

    def _keys(self, deployment: str, task: str, prompt: int | None, output: int | None) -> tuple[_Key, ...]:
        return deployment, self._task(task), _size_bin(prompt), _size_bin(output)

    def _task(self, task: str) -> str:
        known = self._effects[1]
        return task if task in known or len(known) < MAX_TASKS else ""

    def _sum(self, keys: tuple[_Key, ...]) -> float:
        return sum(_effect(table, key).size for table, key in zip(self._effects, keys, strict=True))


def _effect(table: Mapping[_Key, Effect], key: _Key) -> Effect:
    """Return an effect; that of a size without any request lies between those of its neighbours."""
    if key in table or not isinstance(key, int) or key < 0:
        return table.get(key, _UNKNOWN)
    known = [each for each in table if isinstance(each, int) and each >= 0]
    below = max((each for each in known if each < key), default=None)
    above = min((each for each in known if each > key), default=None)
    if below is None or above is None:
        nearest = above if below is None else below
        return _UNKNOWN if nearest is None else Effect(table[nearest].size, 0)
    part = (key - below) / (above - below)
    return Effect(table[below].size + part * (table[above].size - table[below].size), 0)


def _size_bin(tokens: int | None) -> int:
    """Return which of the sizes, half a doubling apart, a number of tokens is; -1 if it is not known."""
    return -1 if tokens is None else int(_BINS_PER_DOUBLING * math.log2(max(tokens, 0) + 1))
