"""The state of the routing policy, as the service tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from context_builder.risk.policy.verdicts import RoutingVerdict, VerdictTable
from context_builder.text.wire import WIRE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRiskBody:
    """One deployment: what the policy does about it, and what is expected of it within 5 minutes."""

    deployment: str
    state: str
    """`closed`, `at_risk`, `open` or `half_open`."""
    reason: str
    """Why it is not simply in use, in words; empty if it is."""
    share: float
    """Its share of the fleet's traffic, from 0 to 1, as the policy would have it."""
    usual_share: float
    returns_in_s: float | None
    """Seconds until it may return to a better state; null if it is closed."""
    probability: float | None
    """That its limit is crossed within 5 minutes; null: no forecast."""
    expert: str
    skill: float | None
    """1 - error / error of "as now" over the trailing matured forecasts; null: too few have matured."""
    matured: int
    """Forecasts that `skill` is judged by."""
    latency_ms: float | None
    """Expected p95."""
    low_ms: float | None
    high_ms: float | None
    baseline_ms: float | None
    limit_ms: float | None
    headroom: float | None
    """Share of the limit that the current p95 leaves; negative above the limit."""
    silence: str
    """Why there is no forecast, in words; empty if there is one."""
    anomaly: str
    last_false_alarm: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskBody:
    """The policy at its last tick."""

    __pydantic_config__ = WIRE

    as_of: datetime | None
    """Of the observations; null before the first."""
    age_s: float
    shadow: bool
    """True if the policy only advises."""
    refusal: str
    """Why it does not act although it should, goal by goal; empty if nothing is in its way."""
    failure: str
    """Why the fleet could not be observed at the last attempt; empty if it could."""
    ejected: int
    deployments: tuple[DeploymentRiskBody, ...]
    """Those that are not simply in use first."""


def risk_body(table: VerdictTable, age_s: float, *, failure: str, refusal: str) -> RiskBody:
    """Return the body of a table."""
    verdicts = sorted(table.verdicts.values(), key=lambda each: (not each.reason, each.deployment))
    return RiskBody(
        as_of=table.moment,
        age_s=round(age_s, 3),
        shadow=table.shadow,
        refusal=refusal,
        failure=failure,
        ejected=sum(each.is_ejected for each in verdicts),
        deployments=tuple(map(_deployment, verdicts)),
    )


def _deployment(verdict: RoutingVerdict) -> DeploymentRiskBody:
    outlook = verdict.outlook
    return DeploymentRiskBody(
        deployment=verdict.deployment,
        state=verdict.state.value,
        reason=verdict.reason,
        share=round(verdict.share, 6),
        usual_share=round(verdict.base_share, 6),
        returns_in_s=verdict.returns_in_s,
        probability=verdict.probability,
        expert=verdict.expert,
        skill=outlook.skill if outlook else None,
        matured=outlook.matured if outlook else 0,
        latency_ms=outlook.latency_ms if outlook else None,
        low_ms=outlook.low_ms if outlook else None,
        high_ms=outlook.high_ms if outlook else None,
        baseline_ms=outlook.baseline_ms if outlook else None,
        limit_ms=outlook.limit_ms if outlook else None,
        headroom=outlook.headroom if outlook else None,
        silence=outlook.silence if outlook else "no forecast was made",
        anomaly=outlook.anomaly if outlook else "",
        last_false_alarm=outlook.last_false_alarm if outlook else None,
    )
