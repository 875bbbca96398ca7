"""Chooses the deployment of a request, and logs the reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from api.demo_data.chance import pick
from api.demo_data.personas import UserRole
from models import Tier

ROUTER_CHANGE = timedelta(days=3, hours=12)
"""Time between the rollout of the new router version and the anchor."""

_PREMIUM_AFFINITY = "gpt-4/aws"
_SPILL_TARGET = "gpt-4/k8s"
_SPILL_SHARE = 0.06


@dataclass(frozen=True, slots=True)
class Router:
    """The parameters in which the two router versions differ."""

    version: str
    premium_spill_after_ms: int
    """Maximum queueing time of a premium request for its affinity deployment."""
    premium_slowdown: float
    """Latency seen by the user, queueing included, relative to that of the backend."""

    def slowdown(self, user: UserRole, deployment: str) -> float:
        """Return the user's latency relative to the backend's; 1 without queueing."""
        waits = user.tier is Tier.PREMIUM and deployment == _PREMIUM_AFFINITY
        return self.premium_slowdown if waits else 1.0


BEFORE = Router("v2.3.1", premium_spill_after_ms=250, premium_slowdown=1.0)
AFTER = Router("v2.4.0", premium_spill_after_ms=20_000, premium_slowdown=2.5)


def router_at(moment: datetime, anchor: datetime) -> Router:
    """Return the router version in service at a time."""
    return BEFORE if moment < anchor - ROUTER_CHANGE else AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Target of a request, and the reason."""

    router: Router
    user: UserRole
    deployment: str
    policy: str
    why: str
    attempt: int = 1
    fallback_from: str | None = None

    def again(self, attempt: int) -> Route:
        """Return the same route for another attempt of the client."""
        return replace(self, attempt=attempt)

    def reason(self, queue_ms: int) -> dict[str, Any]:
        """Return the routing reason as it is logged; `queue_ms` is the time queued in the router."""
        reason: dict[str, Any] = {
            "policy": self.policy,
            "chosen": self.deployment,
            "candidates": list(dict.fromkeys([*self.user.routes, self.deployment])),
            "fallback_from": self.fallback_from,
            "attempt": self.attempt,
            "queue_ms": queue_ms,
            "reason": self.why,
        }
        if self.user.tier is Tier.PREMIUM:
            reason["spill_after_ms"] = self.router.premium_spill_after_ms
        return reason


def choose(chance: Random, user: UserRole, router: Router) -> Route:
    """Choose the route of a user's request."""
    chosen = pick(chance, user.routes)
    spills = chance.random() < _SPILL_SHARE
    if user.tier is not Tier.PREMIUM:
        policy, why = _ORDINARY[user.tier]
    elif chosen != _PREMIUM_AFFINITY:
        policy, why = "tier-affinity", "the client named the model"
    elif spills and router is BEFORE:
        policy, why = "spill-over", f"{chosen} had no free slot within {router.premium_spill_after_ms} ms"
        chosen = _SPILL_TARGET
    else:
        policy, why = "tier-affinity", f"premium prefers {chosen}"
    return Route(router=router, user=user, deployment=chosen, policy=policy, why=why)


_ORDINARY = {
    Tier.STANDARD: ("cost-latency", "best score of cost and recent latency among the healthy candidates"),
    Tier.BUDGET: ("tier-affinity", "budget takes the cheapest healthy candidate"),
}


def failover(failed: Route, attempt: int) -> Route:
    """Return the route to the user's next candidate after a deployment was unreachable."""
    others = [name for name in failed.user.routes if name != failed.deployment]
    same_model = [name for name in others if name.split("/")[0] == failed.deployment.split("/")[0]]
    return Route(
        router=failed.router,
        user=failed.user,
        deployment=(same_model or others)[0],
        policy="failover",
        why=f"{failed.deployment} could not be reached",
        attempt=attempt,
        fallback_from=failed.deployment,
    )
