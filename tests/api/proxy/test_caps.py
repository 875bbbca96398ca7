"""Caps on what goes through the proxy: nothing that does not fit is forwarded, and nothing waits for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import anthropic
import pytest
from sqlalchemy import func, select

from api.proxy.opening import senders_of
from api.proxy.payment import KEY_DIGITS
from api.settings import Settings
from context_builder.text.clock import utc_now
from models import AccountKind, SpendBalance, SpendCap, SpendReservation, User
from models.database import Database
from tests.loopback.raw_upstream import HANG, RawUpstream, raw_upstream, whole
from tests.support.patience import PATIENCE_S
from tests.support.served_proxy import ServedProxy, served_proxy

KEY = "sk-ant-x"
DIGEST = senders_of(Settings()).digest(KEY)[:KEY_DIGITS]
MODEL = "claude-opus-5-5"
USAGE = {"input_tokens": 1000, "output_tokens": 1000}
MESSAGE = whole(
    json.dumps(
        {"type": "message", "model": MODEL, "content": [], "stop_reason": "end_turn", "usage": USAGE}
    ).encode()
)
BODY = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "x" * 3000}]}


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        upstream.default = MESSAGE
        yield upstream


@pytest.fixture
async def proxy(database: Database, upstream: RawUpstream) -> AsyncIterator[ServedProxy]:
    """One that keeps caps, and waits for the ledger as long as a loaded machine takes."""
    async with served_proxy(
        database, upstream.url, proxy_keeps_caps=True, proxy_deadline_s=10.0, proxy_rewrites=False
    ) as proxy:
        yield proxy


async def cap(database: Database, kind: AccountKind, subject: str, usd: str) -> None:
    async with database.write() as session:
        session.add(
            SpendCap(
                kind=kind, subject=subject, limit_usd=Decimal(usd), time_zone="UTC", changed_at=utc_now()
            )
        )


async def statuses(proxy: ServedProxy, times: int) -> list[int]:
    async with proxy.client() as client:
        asks = (client.post("/v1/messages", json=BODY, headers={"x-api-key": KEY}) for _ in range(times))
        return sorted(answer.status_code for answer in await asyncio.gather(*asks))


async def balance(database: Database, kind: AccountKind) -> tuple[Decimal, Decimal]:
    """What an account has spent and reserved, once something was, and is not any more."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with database.read() as session:
                open_calls = await session.scalar(select(func.count()).select_from(SpendReservation))
                found = select(SpendBalance.spent_usd, SpendBalance.reserved_usd).where(
                    SpendBalance.kind == kind
                )
                row = (await session.execute(found)).one_or_none()
            if row is not None and not open_calls:
                return row.spent_usd, row.reserved_usd
            await asyncio.sleep(0.01)


@pytest.mark.both_databases
async def test_however_many_ask_at_once_no_cap_is_passed(
    proxy: ServedProxy, database: Database, upstream: RawUpstream
) -> None:
    """What fits is forwarded and settled by its usage; the rest is refused and never reaches the upstream."""
    await cap(database, AccountKind.KEY, DIGEST, "0.10")
    found = await statuses(proxy, 30)
    assert set(found) == {200, 429}
    assert found.count(200) == len(upstream.requests)
    spent, reserved = await balance(database, AccountKind.KEY)
    assert Decimal(0) < spent <= Decimal("0.10")
    assert reserved == 0


async def test_a_refusal_is_one_that_clients_understand(
    proxy: ServedProxy, database: Database, upstream: RawUpstream
) -> None:
    """The SDK raises its own error, which says which cap, and does not ask again."""
    await cap(database, AccountKind.INSTALLATION, "", "0.001")
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=proxy.url, max_retries=3) as client:
        with pytest.raises(anthropic.RateLimitError, match=r"the installation has \S+ left of") as refused:
            await client.messages.create(**BODY)  # type: ignore[call-overload]
    assert refused.value.body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"  # type: ignore[index]
    assert proxy.ended == {"rejected": 1}
    assert upstream.requests == []


async def test_a_daily_budget_counts_each_request_once(proxy: ServedProxy, database: Database) -> None:
    """By the request log, where all requests of the gateway are; the ledger only reserves."""
    now = utc_now()
    async with database.write() as session:
        user = f"key_{DIGEST}"
        budget = Decimal("0.12")
        session.add(
            User(public_id=user, tier="standard", created_at=now, updated_at=now, daily_budget_usd=budget)
        )
    assert await statuses(proxy, 1) == [200]
    await proxy.until_stored()
    spent, reserved = await balance(database, AccountKind.USER)
    assert (spent, reserved) == (Decimal(0), Decimal(0))
    assert (await balance(database, AccountKind.INSTALLATION))[0] > 0
    for _ in range(20):
        if await statuses(proxy, 1) == [429]:
            break
        await proxy.until_stored()
    async with database.read() as session:
        logged = await session.scalar(
            select(func.sum(SpendBalance.spent_usd)).where(SpendBalance.kind == "installation")
        )
    assert logged is not None
    assert budget - Decimal("0.06") < logged <= budget


async def test_what_fails_or_is_given_up_costs_what_it_must(
    proxy: ServedProxy, database: Database, upstream: RawUpstream
) -> None:
    """An error of the upstream costs nothing; a client that leaves an answer behind costs the worst case."""
    upstream.default = whole(b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}', 400)
    assert await statuses(proxy, 1) == [400]
    assert await balance(database, AccountKind.KEY) == (Decimal(0), Decimal(0))
    upstream.default = (HANG,)
    leaving = asyncio.create_task(statuses(proxy, 1))
    await upstream.until(lambda: len(upstream.requests) == 2)
    leaving.cancel()
    await proxy.until_ended(2)
    assert (await balance(database, AccountKind.KEY))[0] > Decimal("0.02")


async def test_a_ledger_that_hangs_holds_up_no_request(database: Database, upstream: RawUpstream) -> None:
    """It goes on without a reservation, and one that comes too late is given back."""
    async with (
        served_proxy(
            database, upstream.url, proxy_keeps_caps=True, proxy_deadline_s=0.05, proxy_rewrites=False
        ) as proxy,
        proxy.client() as client,
    ):
        other = Database(str(database.url))
        async with other.write() as session:
            session.add(
                SpendCap(
                    kind=AccountKind.KEY,
                    subject="other",
                    limit_usd=Decimal(1),
                    time_zone="UTC",
                    changed_at=utc_now(),
                )
            )
            await session.flush()
            answer = await client.post("/v1/messages", json=BODY, headers={"x-api-key": KEY})
            assert answer.status_code == 200
        await other.close()
        assert await balance(database, AccountKind.KEY) == (Decimal(0), Decimal(0))
