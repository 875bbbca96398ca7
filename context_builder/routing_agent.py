"""Asks the model about the few routing decisions worth it; the policy's hard limits hold for its choice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from context_builder.answering import Answerer
from context_builder.llm.chat_model import ModelUnavailable, Reply
from context_builder.llm.paid_model import NOT_RESERVED, PaidCall, PaidModel, why_not_reserved
from context_builder.prompt.prompt import Prompt
from context_builder.question.request import QuestionError, QuestionInput
from context_builder.risk.policy.decision import RouteDecision
from context_builder.risk.policy.verdicts import RoutingVerdict
from context_builder.spend.accounts import Payer
from context_builder.text.formatting import format_dollars

log = structlog.get_logger(__name__)

TOKEN_BUDGET = 4000
"""Of the packed context, in tokens."""
DEADLINE_S = 20.0
"""Of the model call: a request waits for it."""
MAX_OFFERED = 10
"""Candidates that the model chooses among, the best ones."""
_MAX_REASON = 1000
_HOUR_S = 3600.0
_TASK = """
This is a routing decision. Choose the deployment that the request should go to, from the facts above and from
these candidates only, given as JSON:
{candidates}
The request: {request}
Answer with one JSON object and nothing else:
{{"deployment": "<one of the candidates>", "reason": "<one sentence>"}}
"""


class ModelChoice(BaseModel):
    """The reply of the model."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    deployment: str
    reason: str = Field(min_length=1, max_length=_MAX_REASON)


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """What came of asking the model: a usable choice, or why there is none."""

    verdict: RoutingVerdict | None = None
    explanation: str = ""
    refusal: str = ""
    """Why the policy's decision stands unexplained; empty if there is a choice."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """A call of the last hour."""

    at: float
    cost: Decimal
    """In US dollars: its worst case until its cost is known."""


class RoutingAgent:
    """Makes at most one model call a decision, within an hourly count and cost and the caps of the ledger.

    For one event loop.
    """

    def __init__(
        self,
        answerer: Answerer,
        *,
        per_hour: int,
        usd_per_hour: Decimal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`per_hour` bounds calls, `usd_per_hour` their worst-case cost until the actual one is known."""
        self._answerer = answerer
        self._per_hour = per_hour
        self._usd_per_hour = usd_per_hour
        self._clock = clock
        self._attempts: deque[_Attempt] = deque()
        """Those of the last hour."""

    async def ask(self, decision: RouteDecision, building: AbstractAsyncContextManager[None]) -> AgentAnswer:
        """Return the model's choice among the candidates that the policy allows.

        The context is built inside `building`. Nothing is raised for a model that fails or is not allowed.
        Raises DatabaseError.
        """
        model = self._answerer.model
        if model is None:
            return AgentAnswer(refusal=self._answerer.no_model_reason)
        offered = _offered(decision)
        if refusal := self._refusal(Decimal(0)):
            return AgentAnswer(refusal=refusal)
        names = ", ".join(each.deployment for each in offered)
        question = QuestionInput(
            question=f"Which capacity risks are {names} taking now?", token_budget=TOKEN_BUDGET
        )
        try:
            async with building:
                built = await self._answerer.builder.build(question)
        except QuestionError as error:
            return AgentAnswer(refusal=f"no context could be built: {error}")
        task = self._answerer.builder.redaction(_task(decision, offered))
        input_bound = built.manifest.token_bound + self._answerer.builder.calibration.bound.of(task)
        prompt = replace(built.prompt, user=built.prompt.user + task)
        return await self._call(model, prompt, input_bound, offered)

    async def _call(
        self, model: PaidModel, prompt: Prompt, input_bound: int, offered: tuple[RoutingVerdict, ...]
    ) -> AgentAnswer:
        worst = model.worst_case(input_bound)
        if refusal := self._refusal(worst):
            return AgentAnswer(refusal=refusal)
        attempt = _Attempt(self._clock(), worst)
        self._attempts.append(attempt)
        try:
            async with asyncio.timeout(DEADLINE_S), model.reserved(input_bound, Payer()) as call:
                try:
                    return await _chosen(call, prompt, offered)
                finally:
                    attempt.cost = call.cost
        except ModelUnavailable as error:
            refusal = error.reason
        except TimeoutError:
            refusal = f"the model did not choose within {DEADLINE_S:g} s"
        except NOT_RESERVED as error:
            self._attempts.remove(attempt)
            refusal = why_not_reserved(error)
        log.warning("routing agent", reason=refusal)
        return AgentAnswer(refusal=refusal)

    def _refusal(self, worst: Decimal) -> str:
        """Return why no call that may cost so much is made now; empty if one can be."""
        while self._attempts and self._attempts[0].at <= self._clock() - _HOUR_S:
            self._attempts.popleft()
        if len(self._attempts) >= self._per_hour:
            return f"{self._per_hour} decisions an hour may be asked about, and were"
        left = self._usd_per_hour - sum(attempt.cost for attempt in self._attempts)
        if worst > left:
            left = max(Decimal(0), left)
            return (
                f"a call could cost {format_dollars(worst)}, and {format_dollars(left)} is left of this hour"
            )
        return ""


def _offered(decision: RouteDecision) -> tuple[RoutingVerdict, ...]:
    """Return the candidates within the policy's hard limits: ejected ones are offered in a panic only."""
    others = (each for each in decision.alternatives if each is not decision.advised)
    allowed = [each for each in (decision.advised, *others) if decision.panic or not each.is_ejected]
    return tuple(allowed[:MAX_OFFERED]) or (decision.advised,)


def _task(decision: RouteDecision, offered: tuple[RoutingVerdict, ...]) -> str:
    request = decision.request
    candidates = [
        {
            "deployment": each.deployment,
            "state": each.state.value,
            "breach_probability": each.probability,
            "share": round(each.share, 4),
            "expected_ms": None if (expected := decision.expected_ms(each)) is None else round(expected),
        }
        for each in offered
    ]
    told = f"tier {request.tier or 'unknown'}, {request.prompt_tokens} prompt tokens, "
    told += f"at most {request.max_tokens} completion tokens; 0 is unknown"
    return _TASK.format(candidates=json.dumps(candidates), request=told)


async def _chosen(call: PaidCall, prompt: Prompt, offered: tuple[RoutingVerdict, ...]) -> AgentAnswer:
    """Make the call and return its choice. Raises ModelUnavailable."""
    async with aclosing(call.stream(prompt)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Reply):
                return _checked(piece, offered)
    raise AssertionError("the stream ends with a reply")


def _checked(reply: Reply, offered: tuple[RoutingVerdict, ...]) -> AgentAnswer:
    """Return the choice of a reply if it is one of the offered candidates."""
    begin, end = reply.text.find("{"), reply.text.rfind("}")
    if reply.stop_reason != "end_turn" or begin < 0 or end < begin:
        return AgentAnswer(refusal="the model's reply was no choice")
    try:
        choice = ModelChoice.model_validate_json(reply.text[begin : end + 1])
    except ValidationError:
        return AgentAnswer(refusal="the model's reply was no choice")
    verdict = next((each for each in offered if each.deployment == choice.deployment), None)
    if verdict is None:
        chosen = " ".join(choice.deployment[:100].split())
        return AgentAnswer(refusal=f"the model chose {chosen!r}, which the policy does not allow")
    return AgentAnswer(verdict, " ".join(choice.reason.split()))
