"""The body of a routing decision."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from context_builder.risk.policy.decision import RouteRequest
from models import Tier

_MAX_CANDIDATES = 10_000
_MAX_TOKENS = 100_000_000


class RouteBody(BaseModel):
    """What is known of a request that is to be routed. Nothing is required."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"candidates": ["gpt-4/aws", "gpt-4/azure"], "tier": "premium"},
                {"tier": "budget", "prompt_tokens": 1200, "max_tokens": 400, "task": "chat", "explain": True},
            ]
        },
    )

    candidates: list[str] = Field(
        [], max_length=_MAX_CANDIDATES, description="Deployments that can serve it; none named: all."
    )
    tier: Tier | None = Field(None, description="A premium request is never a probe nor an exploration.")
    prompt_tokens: StrictInt = Field(
        0, ge=0, le=_MAX_TOKENS, description="A large request is never a probe nor an exploration."
    )
    max_tokens: StrictInt = Field(0, ge=0, le=_MAX_TOKENS, description="Most tokens of the completion.")
    task: str = Field("", max_length=100, description="Task type, as in the request log.")
    explain: StrictBool = Field(default=False, description="Ask the model, within the limits of the policy.")

    def to_request(self) -> RouteRequest:
        """Convert to the request of the policy."""
        tier = "" if self.tier is None else self.tier.value
        return RouteRequest(tuple(self.candidates), tier, self.prompt_tokens, self.max_tokens, self.task)
