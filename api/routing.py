"""`route`: where a request should go, and why. The same in this process and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from api.query import services_of_this_loop
from api.services import Services
from context_builder.risk.policy.decision import RouteDecision, RouteRequest, UnknownCandidates
from context_builder.risk.policy.verdicts import RoutingVerdict
from context_builder.text.wire import WIRE
from models.audit_chain import AuditRecord, DetailValue

_MAX_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class RouteAlternative:
    """Another candidate."""

    deployment: str
    state: str
    """`closed`, `at_risk`, `open` or `half_open`."""
    share: float
    """Its share of the fleet's traffic, from 0 to 1."""
    probability: float | None
    """That its limit is crossed within 5 minutes; None: no forecast."""
    expected_ms: float | None
    """How long this request would take there; None: too few requests of the deployment have ended."""
    reason: str
    """Why it is not simply in use; empty if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """Where a request should go, and why."""

    __pydantic_config__ = WIRE

    deployment: str
    reason: str
    decided_by: str
    """`policy` or `model`."""
    expert: str
    """Forecaster of the probability; `none` without a forecast."""
    probability: float | None
    """That the deployment's limit is crossed within 5 minutes; None: no forecast."""
    expected_ms: float | None
    """How long this request is expected to take; None: too few requests of the deployment have ended."""
    confidence: float
    """How likely the deployment stays within its limit, from 0 to 1; 0.5 without a forecast."""
    shadow: bool
    """True if the policy only advises: the deployment is drawn by the usual shares."""
    advised: str
    """The deployment that the policy advises; in shadow mode perhaps another one."""
    probe: bool
    """True if the request tests whether a deployment has recovered."""
    panic: str
    """Why ejected candidates are used all the same; empty if they are not."""
    alternatives: tuple[RouteAlternative, ...]
    """The best other candidates, at most 20."""
    candidates: int
    """Candidates that were considered."""
    as_of: datetime | None
    """Of the observations; None before the first."""
    age_s: float
    explanation: str | None = None
    """The model's reason; None if it was not asked or its choice could not be used."""
    not_explained: str | None = None
    """Why there is no explanation although one was wanted; None if there is, or none was."""


async def route(
    candidates: Sequence[str] = (),
    *,
    tier: str = "",
    prompt_tokens: int = 0,
    max_tokens: int = 0,
    task: str = "",
    explain: bool = False,
) -> RouteAnswer:
    """Return where a request should go; without candidates any deployment may be chosen.

    With `explain` the model is asked, which chooses among what the policy allows; if it cannot, or not in
    time, the policy's decision stands.

    The first call in an event loop opens the services and looks at the fleet; inside a running service, and
    from then on, a call reads what the last tick has found.

    Raises:
        UnknownCandidates: A candidate is no deployment; the message names similar ones.
        SettingsError: A variable of the environment cannot be used.
        DatabaseError: The database is unavailable.
        QueryTimeout: It is too slow.
    """
    if isinstance(candidates, str):
        raise UnknownCandidates(f"candidates are a list of names, such as [{candidates[:100]!r}]")
    services = await services_of_this_loop()
    request = RouteRequest(tuple(candidates), tier, prompt_tokens, max_tokens, task)
    decision, answer = await decide(services, request)
    if wants_model(services, answer, explain=explain):
        answer = await explained(services, decision, answer, nullcontext())
    audit_route(services, answer)
    return answer


def audit_route(services: Services, answer: RouteAnswer) -> None:
    """Let the audit trail say where a request was sent."""
    detail: dict[str, DetailValue] = {
        "advised": answer.advised,
        "decided_by": answer.decided_by,
        "shadow": answer.shadow,
        "candidates": answer.candidates,
    }
    services.audit.put(AuditRecord(action="route", subject=answer.deployment, detail=detail))


async def decide(services: Services, request: RouteRequest) -> tuple[RouteDecision, RouteAnswer]:
    """Decide on the current table. Raises as `route` does."""
    table, age_s = await services.risk.current()
    decision = services.risk.router.decide(request, table, age_s=age_s)
    return decision, _answer(decision, age_s)


def wants_model(services: Services, answer: RouteAnswer, *, explain: bool) -> bool:
    """Return whether the model is to be asked about a decision."""
    return explain or answer.confidence < services.settings.risk_agent_below


async def explained(
    services: Services,
    decision: RouteDecision,
    answer: RouteAnswer,
    building: AbstractAsyncContextManager[None],
) -> RouteAnswer:
    """Return the answer with the model's choice, if it made a usable one; in shadow mode it only advises."""
    found = await services.routing_agent.ask(decision, building)
    if found.verdict is None:
        return replace(answer, not_explained=found.refusal)
    advised = replace(answer, advised=found.verdict.deployment, explanation=found.explanation)
    if decision.table.shadow:
        return advised
    chosen = replace(decision, chosen=found.verdict, advised=found.verdict, is_probe=False)
    return replace(
        _answer(chosen, answer.age_s),
        reason="chosen by the model among what the policy allows",
        decided_by="model",
        explanation=found.explanation,
    )


def _answer(decision: RouteDecision, age_s: float) -> RouteAnswer:
    chosen = decision.chosen
    return RouteAnswer(
        deployment=chosen.deployment,
        reason=decision.reason,
        decided_by="policy",
        expert=chosen.expert,
        probability=chosen.probability,
        expected_ms=_expected_ms(decision, chosen),
        confidence=round(decision.confidence, 3),
        shadow=decision.table.shadow,
        advised=decision.advised.deployment,
        probe=decision.is_probe,
        panic=decision.panic,
        alternatives=tuple(
            RouteAlternative(
                deployment=each.deployment,
                state=each.state.value,
                share=round(each.share, 6),
                probability=each.probability,
                expected_ms=_expected_ms(decision, each),
                reason=each.reason,
            )
            for each in decision.alternatives[:_MAX_ALTERNATIVES]
        ),
        candidates=len(decision.considered),
        as_of=decision.table.moment,
        age_s=round(age_s, 3),
    )


def _expected_ms(decision: RouteDecision, verdict: RoutingVerdict) -> float | None:
    expected = decision.expected_ms(verdict)
    return None if expected is None else round(expected)
