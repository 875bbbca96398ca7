"""What went through the proxy in a span of time, summed up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select

from context_builder.text.wire import WIRE, Usd
from models import ProxyCall
from models.database import ReadSession


@dataclass(frozen=True, slots=True)
class ProxyTraffic:
    """Requests for messages since a moment."""

    __pydantic_config__ = WIRE

    since: datetime
    ended: dict[str, int]
    """Requests by how they ended."""
    changed: int
    """Requests in which something was inserted or cut."""
    retried: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: Usd
    first_byte_p50_ms: float | None
    """Time to the first byte of an answer; None: there was none."""
    first_byte_p99_ms: float | None

    @property
    def requests(self) -> int:
        """Return the number of requests."""
        return sum(self.ended.values())

    @property
    def cache_read_ratio(self) -> float | None:
        """Return the share of the input that was read from the prompt cache; None without input."""
        total = self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
        return self.cache_read_tokens / total if total else None


async def proxy_traffic(session: ReadSession, since: datetime) -> ProxyTraffic:
    """Return what went through the proxy since a moment."""
    is_recent = ProxyCall.received_at >= since
    states = await session.execute(
        select(ProxyCall.state, func.count()).where(is_recent).group_by(ProxyCall.state)
    )
    ended = {state: count for state, count in states}  # noqa: C416  rows are no pairs to the type checker
    sums = (
        await session.execute(
            select(
                func.sum(ProxyCall.input_tokens),
                func.sum(ProxyCall.cache_read_tokens),
                func.sum(ProxyCall.cache_write_tokens),
                func.sum(ProxyCall.output_tokens),
                func.sum(ProxyCall.cost_usd),
                func.count(ProxyCall.first_byte_ms),
            ).where(is_recent)
        )
    ).one()
    changed = await session.scalar(
        select(func.count()).where(is_recent, func.json_array_length(ProxyCall.changes) > 0)
        if session.get_bind().dialect.name == "sqlite"
        else select(func.count()).where(is_recent, func.jsonb_array_length(ProxyCall.changes) > 0)
    )
    retried = await session.scalar(select(func.count()).where(is_recent, ProxyCall.attempts > 1))
    fresh, read, written, output = (int(value or 0) for value in sums[:4])

    async def at(share: float) -> float | None:
        if not sums[5]:
            return None
        return await session.scalar(
            select(ProxyCall.first_byte_ms)
            .where(is_recent, ProxyCall.first_byte_ms.is_not(None))
            .order_by(ProxyCall.first_byte_ms)
            .offset(round(share * (sums[5] - 1)))
            .limit(1)
        )

    return ProxyTraffic(
        since=since,
        ended=dict(sorted(ended.items())),
        changed=changed or 0,
        retried=retried or 0,
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        cost_usd=sums[4] or Decimal(0),
        first_byte_p50_ms=await at(0.5),
        first_byte_p99_ms=await at(0.99),
    )
