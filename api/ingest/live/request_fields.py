"""Fields of requests that several formats write alike: names, times, costs, outcomes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from api.ingest.errors import IngestError
from api.ingest.live.redaction import stored_text
from api.ingest.records import RequestRecord
from api.ingest.records.fields import MAX_NAME
from api.ingest.records.parsing import MAX_TIME, MIN_TIME
from models import RequestStatus, Tier

UNROUTED = ("unrouted", "gateway")
"""Model and backend of requests that reached none: what a client wrote creates no deployment."""
_TIMEOUTS = {408, 504}
_MIN_S, _END_S = MIN_TIME.timestamp(), MAX_TIME.timestamp()
_DEFAULTS = {
    name: info.default for name, info in RequestRecord.model_fields.items() if not info.is_required()
}
_set = object.__setattr__
_MAX_LATENCY_S = 31 * 24 * 60 * 60
_MAX_COST_USD = 10_000
_OFFICIAL_HOSTS = ("openai.com", "anthropic.com", "azure.com", "googleapis.com", "amazonaws.com")
_GENERIC_PROVIDERS = {"openai", "openai_like", "custom_openai", "hosted_vllm", "vllm"}
"""Providers that name a protocol rather than a place."""


class Unusable(IngestError):
    """An item has a value that cannot be stored."""

    def __init__(self, field: str, reason: str) -> None:
        """`field` is the sender's name of it."""
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def made_id(prefix: str, *parts: object) -> str:
    """Return an id that is the same for the same parts."""
    content = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return prefix + blake2b(content, digest_size=16).hexdigest()


def name(text: str) -> str:
    """Return a name of at most 100 characters that can be stored."""
    return stored_text(text, MAX_NAME)


@lru_cache(maxsize=4096)
def deployment_of(model: str, provider: str, address: str = "") -> tuple[str, str]:
    """Return model and backend; `address` is the URL or host that was called, as far as it is known.

    The provider's own name in front of the model goes: one deployment is written both ways.
    """
    model = model.removeprefix(f"{provider}/")
    host = urlsplit(address if "//" in address else f"//{address}").netloc.rpartition("@")[2]
    is_place = provider not in _GENERIC_PROVIDERS or not host or host.endswith(_OFFICIAL_HOSTS)
    backend = provider if is_place else f"{provider}@{host}"
    return name(model or "unknown"), name(backend.replace("/", "-") or "unknown")


def moment_of(field: str, seconds: float) -> datetime:
    """Return the time so many seconds after 1970. Raises Unusable."""
    if not _MIN_S <= seconds < _END_S:
        raise Unusable(field, f"{seconds!r} is no time of the years {MIN_TIME.year} to {MAX_TIME.year - 1}")
    return datetime.fromtimestamp(seconds, UTC)


def latency_ms(seconds: float) -> int | None:
    """Return whole milliseconds; None if clocks disagree, so that the end is before the start."""
    return round(seconds * 1000) if 0 <= seconds <= _MAX_LATENCY_S else None


def cost_of(field: str, usd: float) -> Decimal:
    """Return a cost, exact to a billionth of a dollar. Raises Unusable."""
    if not 0 <= usd <= _MAX_COST_USD:
        raise Unusable(field, f"{usd!r} is not accepted; from 0 to {_MAX_COST_USD:,} US dollars are")
    return Decimal(f"{usd:.9f}")


def failure_status(code: int | None, error_class: str) -> RequestStatus:
    """Return the outcome of a request that failed, by its HTTP status and the class of the error."""
    folded = error_class.replace("_", "").lower()
    if code == 429 or "ratelimit" in folded:  # noqa: PLR2004  too many requests
        return RequestStatus.RATE_LIMITED
    if code in _TIMEOUTS or "timeout" in folded:
        return RequestStatus.TIMEOUT
    return RequestStatus.ERROR


def is_fault_of_client(code: int | None) -> bool:
    """Return True for an error whose text may quote what the client sent, such as a prompt."""
    return code is not None and 400 <= code < 500 and code not in (408, 429)  # noqa: PLR2004  HTTP


def request_record(tier: Tier, values: dict[str, Any]) -> RequestRecord:
    """Return a record of checked values; None is left out.

    The tier is for new users only, unless it is among the values.
    """
    record = RequestRecord.__new__(RequestRecord)
    stated = {field for field in values if values[field] is not None}
    fields = _DEFAULTS | values
    fields["tier"] = tier
    # As out of a pickle: `model_construct` looks at every field, which takes as long as all the rest.
    _set(record, "__dict__", fields)
    _set(record, "__pydantic_fields_set__", stated)
    _set(record, "__pydantic_extra__", None)
    _set(record, "__pydantic_private__", None)
    return record
