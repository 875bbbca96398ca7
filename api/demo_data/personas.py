"""Personas: deployments with their state at the anchor, and users with their habits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from models import DeploymentStatus, Tier

PERSONAS_AGE = timedelta(days=400)
"""Time between the creation of deployments and users and the anchor: before the oldest incident."""
CHAT_ENDPOINT = "/v1/chat/completions"
MESSAGES_ENDPOINT = "/v1/messages"
BATCH_ENDPOINT = "/v1/messages/batches"

_TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRole:
    """A deployment, its health at the anchor and its behaviour on an ordinary day."""

    public_id: str
    region: str
    version: str
    """Version of the serving image."""
    endpoint: str
    capacity_rpm: int
    """Provisioned requests per minute."""
    status: DeploymentStatus
    status_reason: str
    status_age: timedelta
    """Time between its last status change and the anchor."""
    report_age: timedelta
    """Time between its last health report and the anchor."""
    median_ms: int
    """Median latency of an undisturbed chat request."""
    input_price: Decimal
    """US dollars per million prompt tokens."""
    output_price: Decimal
    """US dollars per million completion tokens."""
    quality: float
    """Mean score of an undisturbed answer, in [0, 1]."""

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Return the exact cost of one answered request, in US dollars."""
        return (prompt_tokens * self.input_price + completion_tokens * self.output_price) / _TOKENS_PER_PRICE


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRole:
    """A user, its budget per UTC day and its requests per week."""

    public_id: str
    name: str
    role: str
    """Role: `admin`, `developer`, `service`."""
    tier: Tier
    daily_budget_usd: Decimal
    weekly_requests: int
    routes: Mapping[str, float]
    """Share of its requests by preferred deployment, in the order of the candidates."""
    daily_swing: float = 0.55
    """Relative swing of its rate, up at 14:00 UTC and down at 02:00 UTC; 0 for a steady job."""
    endpoint: str = CHAT_ENDPOINT
    """Path of the gateway's API that it calls."""


DEPLOYMENTS = (
    DeploymentRole(
        public_id="gpt-4/aws",
        region="us-east-1",
        version="serve-3.12.0",
        endpoint="https://gpt-4.aws.gateway.example/v1",
        capacity_rpm=6,
        status=DeploymentStatus.HEALTHY,
        status_reason="all health checks pass",
        status_age=timedelta(days=23, hours=4),
        report_age=timedelta(seconds=38),
        median_ms=1900,
        input_price=Decimal(10),
        output_price=Decimal(30),
        quality=0.90,
    ),
    DeploymentRole(
        public_id="gpt-4/k8s",
        region="eu-central-1",
        version="serve-3.12.0",
        endpoint="https://gpt-4.k8s.gateway.example/v1",
        capacity_rpm=6,
        status=DeploymentStatus.DEGRADED,
        status_reason="4 of 6 replicas ready; two GPU nodes are still being rebuilt",
        status_age=timedelta(hours=10, minutes=51),
        report_age=timedelta(seconds=52),
        median_ms=2300,
        input_price=Decimal(8),
        output_price=Decimal(24),
        quality=0.89,
    ),
    DeploymentRole(
        public_id="llama-70b/k8s",
        region="eu-central-1",
        version="serve-3.11.4",
        endpoint="https://llama-70b.k8s.gateway.example/v1",
        capacity_rpm=4,
        status=DeploymentStatus.HEALTHY,
        status_reason="all health checks pass",
        status_age=timedelta(days=31, hours=7),
        report_age=timedelta(seconds=47),
        median_ms=1150,
        input_price=Decimal("0.60"),
        output_price=Decimal("0.80"),
        quality=0.81,
    ),
    DeploymentRole(
        public_id="llama-70b/neocloud",
        region="fra-2",
        version="serve-3.11.4",
        endpoint="https://llama-70b.neocloud.gateway.example:8443/v1",
        capacity_rpm=4,
        status=DeploymentStatus.DOWN,
        status_reason="3 consecutive health checks failed: connection refused on port 8443",
        status_age=timedelta(minutes=44),
        report_age=timedelta(seconds=25),
        median_ms=950,
        input_price=Decimal("0.45"),
        output_price=Decimal("0.60"),
        quality=0.81,
    ),
    DeploymentRole(
        public_id="claude-sonnet/aws",
        region="us-west-2",
        version="serve-3.12.0",
        endpoint="https://claude-sonnet.aws.gateway.example/v1",
        capacity_rpm=6,
        status=DeploymentStatus.HEALTHY,
        status_reason="all health checks pass",
        status_age=timedelta(days=40, hours=2),
        report_age=timedelta(seconds=33),
        median_ms=1600,
        input_price=Decimal(3),
        output_price=Decimal(15),
        quality=0.91,
    ),
    DeploymentRole(
        public_id="mistral-large/gcp",
        region="europe-west4",
        version="serve-3.12.0",
        endpoint="https://mistral-large.gcp.gateway.example/v1",
        capacity_rpm=4,
        status=DeploymentStatus.HEALTHY,
        status_reason="all health checks pass",
        status_age=timedelta(days=5),
        report_age=timedelta(seconds=59),
        median_ms=1350,
        input_price=Decimal(2),
        output_price=Decimal(6),
        quality=0.86,
    ),
)

_PREMIUM = {"gpt-4/aws": 0.94, "claude-sonnet/aws": 0.06}
_STANDARD = {
    "gpt-4/k8s": 0.33,
    "claude-sonnet/aws": 0.24,
    "mistral-large/gcp": 0.21,
    "llama-70b/k8s": 0.10,
    "gpt-4/aws": 0.12,
}
_BUDGET = {"llama-70b/k8s": 0.82, "llama-70b/neocloud": 0.12, "mistral-large/gcp": 0.06}


def _user(name: str, tier: Tier, budget: str, requests: int, routes: Mapping[str, float]) -> UserRole:
    """Create a person, who mostly works by day."""
    return UserRole(
        public_id=f"user_{name.split(maxsplit=1)[0].lower()}",
        name=name,
        role="developer",
        tier=tier,
        daily_budget_usd=Decimal(budget),
        weekly_requests=requests,
        routes=routes,
    )


def _admin(user: UserRole) -> UserRole:
    """Make a user an admin, who may also create keys and change limits."""
    return replace(user, role="admin")


def _job(name: str, budget: str, requests: int, routes: Mapping[str, float]) -> UserRole:
    """Create a standard user's pipeline, which sends day and night."""
    user = _user(name, Tier.STANDARD, budget, requests, routes)
    return replace(user, role="service", daily_swing=0, endpoint=MESSAGES_ENDPOINT)


BATCH_USER = _user("Papertrail Archive", Tier.BUDGET, "1.00", 560, _BUDGET)
"""Runs a batch of long documents on the last day, which takes it close to its daily budget."""

USERS = (
    _admin(_user("Acme Robotics", Tier.PREMIUM, "6.00", 640, _PREMIUM)),
    _user("Northwind Freight", Tier.PREMIUM, "5.00", 560, _PREMIUM),
    _admin(_user("Halcyon Health", Tier.PREMIUM, "5.00", 500, _PREMIUM)),
    _user("Brightleaf Media", Tier.STANDARD, "3.00", 480, _STANDARD),
    _user("Marlow & Finch", Tier.STANDARD, "2.50", 420, _STANDARD),
    _job("Quarry Analytics", "3.00", 680, {"gpt-4/k8s": 0.75, "mistral-large/gcp": 0.25}),
    _job("Tidepool Labelling", "0.50", 920, {"llama-70b/neocloud": 0.95, "llama-70b/k8s": 0.05}),
    _user("Sparrow Learning", Tier.BUDGET, "0.25", 720, _BUDGET),
    _user("Kite Travel", Tier.BUDGET, "0.25", 600, _BUDGET),
    BATCH_USER,
)
