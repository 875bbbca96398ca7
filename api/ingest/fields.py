"""The fields of a request and of an incident: which can be mapped, what they hold, which must be there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api.ingest.errors import RowRejected, shown
from api.ingest.values import Choice, JsonObject, Moment, Number, Text, ValueType
from models import RequestStatus, Severity, Tier

MAX_NAME = 100
MAX_DEPLOYMENT = 200
"""Characters of `model/backend`."""

_DAY_MS = 24 * 60 * 60 * 1000
_LATENCY = Number(
    Decimal(31 * _DAY_MS),
    {"ms": Decimal(1), "s": Decimal(1000), "us": Decimal("0.001"), "ns": Decimal("0.000001")},
)
_DOLLARS = {"usd": Decimal(1), "cent": Decimal("0.01"), "microusd": Decimal("0.000001")}
# The limits keep sums over billions of rows within 64 bits.
_COST = Number(Decimal(10_000), _DOLLARS, places=9)
_DAILY_BUDGET = Number(Decimal(1_000_000_000), _DOLLARS, places=9)
_TOKENS = Number(Decimal(1_000_000_000), whole=True)


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a column, a constant or a default can fill."""

    name: str
    type: ValueType
    required: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file holds: requests or incidents."""

    name: str
    fields: tuple[Field, ...]
    id_prefix: str
    check: Callable[[dict[str, Any]], None]
    """Raises RowRejected where values do not go together."""

    def names(self) -> tuple[str, ...]:
        """The fields by name, in their order."""
        return tuple(field.name for field in self.fields)


def _check_request(values: dict[str, Any]) -> None:
    model, backend = values["model"], values["backend"]
    if "/" in backend:
        raise RowRejected("backend: holds a slash", f"{shown(backend)}; deployments are named model/backend")
    if len(model) + 1 + len(backend) > MAX_DEPLOYMENT:
        raise RowRejected("backend: too long", f"model/backend has at most {MAX_DEPLOYMENT} characters")


def _check_incident(values: dict[str, Any]) -> None:
    resolved = values.get("resolved_at")
    if resolved is not None and resolved < values["started_at"]:
        raise RowRejected("resolved_at: before started_at", f"{resolved} < {values['started_at']}")


REQUESTS = Kind(
    "requests",
    (
        Field("id", Text(MAX_NAME)),
        Field("created_at", Moment(), required=True),
        Field("user", Text(MAX_NAME), required=True),
        Field("tier", Choice(Tier), required=True),
        Field("daily_budget_usd", _DAILY_BUDGET),
        Field("model", Text(MAX_NAME), required=True),
        Field("backend", Text(MAX_NAME), required=True),
        Field("status", Choice(RequestStatus), required=True),
        Field("error_code", Text(MAX_NAME)),
        Field("latency_ms", _LATENCY),
        Field("cost_usd", _COST),
        Field("prompt_tokens", _TOKENS),
        Field("completion_tokens", _TOKENS),
        Field("task_type", Text(MAX_NAME)),
        Field("router_version", Text(MAX_NAME)),
        Field("routing_reason", JsonObject(10_000)),
    ),
    "req_",
    _check_request,
)

INCIDENTS = Kind(
    "incidents",
    (
        Field("id", Text(MAX_NAME)),
        Field("title", Text(1000), required=True),
        Field("symptoms", Text(100_000)),
        Field("target", Text(200)),
        Field("severity", Choice(Severity), required=True),
        Field("started_at", Moment(), required=True),
        Field("resolved_at", Moment()),
        Field("root_cause", Text(100_000)),
        Field("resolution", Text(100_000)),
    ),
    "inc_",
    _check_incident,
)
