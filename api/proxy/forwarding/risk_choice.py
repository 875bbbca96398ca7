"""Which upstream the routing policy chooses; deployments are a model at an upstream."""

from __future__ import annotations

import random
from collections.abc import Sequence

from api.proxy.call import Call
from api.risk_ticker import RiskTicker
from context_builder.risk.policy.decision import RouteRequest


class RiskChoice:
    """Chooses by the verdicts of the last tick; never reads a database."""

    def __init__(self, ticker: RiskTicker, chance: random.Random | None = None) -> None:
        self._ticker = ticker
        self._chance = chance or random.SystemRandom()

    def has_ejected(self, call: Call, name: str) -> bool:
        """Return True if the policy acts, and has ejected the call's model at an upstream."""
        table = self._ticker.board.table
        verdict = table.verdicts.get(f"{call.requested_model}/{name}")
        return verdict is not None and verdict.is_ejected and not table.shadow

    def choose(self, call: Call, names: Sequence[str]) -> str:
        """Return an upstream by the policy's shares; one that has no traffic yet gets an equal part."""
        table, age_s = self._ticker.board.read()
        by_deployment = {f"{call.requested_model}/{name}": name for name in names}
        known = tuple(name for name in by_deployment if name in table.verdicts)
        unknown = [name for deployment, name in by_deployment.items() if deployment not in table.verdicts]
        if not known or self._chance.random() * len(names) < len(unknown):
            return self._chance.choice(unknown)
        tier = call.sender.user.tier.value if call.sender else ""
        decision = self._ticker.router.decide(RouteRequest(known, tier), table, age_s=age_s)
        return by_deployment[decision.chosen.deployment]
