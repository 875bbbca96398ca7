"""Outcome of one request: tokens, latency, cost and errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from api.demo_data.chance import pick
from api.demo_data.incidents import Effect
from api.demo_data.personas import DeploymentRole
from models import RequestStatus, Tier

_ORDINARY_FAILING = 0.014
_ORDINARY_ERRORS = {"502": 0.35, "429": 0.3, "504": 0.2, "context_length_exceeded": 0.15}
_LATENCY_SPREAD = 0.55
"""Standard deviation of the logarithm of latency: p95 is 2.5 times the median."""
_TOKEN_SPREAD = 0.45
_LENGTH_AND_LATENCY = 0.7
"""Correlation between the length of an answer and its latency."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task type, by the size of a typical request."""

    prompt_tokens: int
    completion_tokens: int
    pace: float
    """Latency relative to a chat request."""


TASKS = {
    "chat": Task(700, 220, 1.0),
    "code": Task(1100, 420, 1.2),
    "summarization": Task(2600, 260, 1.1),
    "extraction": Task(1400, 120, 0.9),
    "classification": Task(380, 24, 0.75),
}

TASK_MIX: Mapping[Tier, Mapping[str, float]] = {
    Tier.PREMIUM: {"chat": 0.4, "code": 0.35, "summarization": 0.25},
    Tier.STANDARD: {"chat": 0.4, "summarization": 0.2, "code": 0.2, "extraction": 0.2},
    Tier.BUDGET: {"classification": 0.4, "extraction": 0.35, "chat": 0.25},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of a request; token counts are known for answered ones only."""

    status: RequestStatus
    latency_ms: int | None = None
    """None while the request is pending."""
    queue_ms: int = 0
    """Time queued in the router, in ms."""
    error_code: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: Decimal = Decimal(0)


_FAILURES: Mapping[str, tuple[RequestStatus, int, int]] = {
    "429": (RequestStatus.RATE_LIMITED, 12, 60),
    "502": (RequestStatus.ERROR, 60, 400),
    "503": (RequestStatus.ERROR, 40, 300),
    "504": (RequestStatus.TIMEOUT, 30_000, 30_200),
    "connection_refused": (RequestStatus.ERROR, 4, 40),
    "connect_timeout": (RequestStatus.TIMEOUT, 5_000, 5_040),
    "context_length_exceeded": (RequestStatus.ERROR, 30, 140),
}
"""Logged status and latency range in ms, by error code."""


def failure(chance: Random, effect: Effect) -> Outcome | None:
    """Draw the failure of a request, or None if it is answered."""
    if chance.random() < effect.failing:
        return _failed(chance, effect.errors)
    return _failed(chance, _ORDINARY_ERRORS) if chance.random() < _ORDINARY_FAILING else None


def _failed(chance: Random, errors: Mapping[str, float]) -> Outcome:
    code = pick(chance, errors)
    status, fastest, slowest = _FAILURES[code]
    return Outcome(status=status, latency_ms=chance.randint(fastest, slowest), error_code=code)


def answer(
    chance: Random, deployment: DeploymentRole, task: Task, *, slow: float, disturbed: float, waiting: float
) -> Outcome:
    """Draw the outcome of an answered request.

    `slow` says how slow it is among its like, as a standard normal value; `disturbed` is what the backend
    takes over what it ordinarily takes, and `waiting` what the user waits over what the backend takes.
    """
    own = chance.gauss(0, math.sqrt(1 - _LENGTH_AND_LATENCY**2))
    length = math.exp(_TOKEN_SPREAD * (_LENGTH_AND_LATENCY * slow + own))
    prompt_tokens = max(8, round(task.prompt_tokens * math.exp(_TOKEN_SPREAD * chance.gauss(0, 1))))
    completion_tokens = max(1, round(task.completion_tokens * length))
    backend_ms = deployment.median_ms * task.pace * disturbed * math.exp(_LATENCY_SPREAD * slow)
    queue_ms = chance.randint(2, 60) + round((waiting - 1) * backend_ms * chance.uniform(0.9, 1.1))
    return Outcome(
        status=RequestStatus.SUCCESS,
        latency_ms=round(backend_ms) + queue_ms,
        queue_ms=queue_ms,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=deployment.cost(prompt_tokens, completion_tokens),
    )
