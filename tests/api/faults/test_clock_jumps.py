"""The clock of a service is set back and ahead while it works."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from api.access.keys import KeyRequest, create_key
from api.audit.verification import verify_database
from context_builder.text import clock
from models import Request, RequestRollup, Role
from models.database import Database
from tests.support.http_service import QUESTION, client_of, running, settings_of, without_memory
from tests.support.kinds_of_records import EXAMPLES
from tests.support.patience import PATIENCE_S

NO_JUMP = timedelta(0)
BACK, AHEAD = timedelta(hours=-1), timedelta(days=1)
TICK_S = 0.2
"""How old what questions share may be."""
RATE = 1
"""Requests a minute of the key that is limited; no machine is so slow that it gets another."""


class JumpingClock(datetime):
    """What the product's clock reads, off by a jump."""

    off = NO_JUMP

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.off


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[JumpingClock]]:
    monkeypatch.setattr(clock, "datetime", JumpingClock)
    yield JumpingClock
    JumpingClock.off = NO_JUMP


async def key(database: Database, name: str, **wanted: Any) -> dict[str, str]:
    request = KeyRequest(name=name, role=Role.ADMIN, **wanted)
    async with database.write() as session:
        return {"x-api-key": (await create_key(session, request, now=clock.utc_now())).secret}


class Sender:
    """Posts requests and asks questions, each as of what the service's clock reads."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.acknowledged: Counter[str] = Counter()
        """How often each request was acknowledged as new."""

    async def post(self, name: str, at: datetime) -> dict[str, Any]:
        item = EXAMPLES["requests"] | {"id": name, "created_at": at.isoformat()}
        async with asyncio.timeout(PATIENCE_S):
            response = await self.client.post("/v1/ingest/requests", json=[item])
        assert response.status_code in (200, 422), response.text
        receipt: dict[str, Any] = response.json()
        self.acknowledged[name] += receipt.get("accepted", 0)
        return receipt

    async def ask(self) -> datetime:
        async with asyncio.timeout(PATIENCE_S):
            response = await self.client.post("/v1/context", json={"question": QUESTION})
        assert response.status_code == 200, response.text
        return datetime.fromisoformat(response.json()["manifest"]["as_of"])


@pytest.mark.long
async def test_a_clock_that_jumps_loses_and_doubles_nothing(
    sqlite_url: str, tmp_path: Path, jumping: type[JumpingClock]
) -> None:
    """Posts and questions go on at each jump; what is then in the future is rejected with both times."""
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path), tick_s=TICK_S)
    async with running(settings) as app, client_of(app) as client:
        sender = Sender(client)
        for number, off in enumerate((NO_JUMP, BACK, NO_JUMP, AHEAD, NO_JUMP)):
            before = clock.utc_now()
            posts = [sender.post(f"before_{number}_{each}", before) for each in range(3)]
            first = [asyncio.create_task(each) for each in posts]
            jumping.off = off
            now = clock.utc_now()
            await asyncio.gather(
                sender.ask(),
                *(sender.post(f"after_{number}_{each}", now) for each in range(3)),
                *(sender.post(f"after_{number}_0", now) for _ in range(2)),
                *first,
            )
            await asyncio.sleep(TICK_S * 1.1)
            assert now < await sender.ask() <= clock.utc_now(), "what is shared ages by what has passed"
            ahead = await sender.post(f"ahead_{number}", now + timedelta(minutes=11))
            assert ahead["rejected"] == 1, ahead
            assert "in the future" in ahead["rejects"][0]["reason"]
            assert f"the clock here says {now:%Y-%m-%d}" in ahead["rejects"][0]["reason"]
        database: Database = app.state.services.database
        async with database.read() as session:
            names = list(await session.scalars(select(Request.public_id)))
            counts = set(
                await session.scalars(
                    select(func.sum(RequestRollup.requests)).group_by(RequestRollup.resolution)
                )
            )
    stored = +sender.acknowledged
    assert Counter(names) == stored, "each acknowledged as new once, and there once"
    assert counts == {len(names)}
    assert {f"after_{number}_{each}" for number in range(5) for each in range(3)} <= set(names)
    database = Database(sqlite_url)
    verdict = await verify_database(database)
    await database.close()
    assert verdict.broken is None
    assert verdict.entries > len(names) / 3


async def test_keys_expire_by_the_clock_and_are_limited_by_what_has_passed(
    sqlite_url: str, tmp_path: Path, jumping: type[JumpingClock]
) -> None:
    """A jump ends a key that has expired by then, and neither refills nor locks one that is limited."""
    settings = settings_of(sqlite_url, tmp_path, memory_path=without_memory(tmp_path))
    async with running(settings) as app, client_of(app) as client:
        database: Database = app.state.services.database
        brief = await key(database, "brief", expires_at=clock.utc_now() + timedelta(hours=2))
        limited = await key(database, "limited", rate_per_minute=RATE)

        async def status(headers: dict[str, str]) -> int:
            return (await client.get("/v1/deployments", headers=headers)).status_code

        assert [await status(limited) for _ in range(RATE + 1)] == [200] * RATE + [429]
        statuses = {}
        for off in (NO_JUMP, BACK, AHEAD, BACK):
            jumping.off = off
            statuses[off] = await status(brief)
            refused = await client.get("/v1/deployments", headers=limited)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) <= 60 / RATE
        assert statuses == {NO_JUMP: 200, BACK: 200, AHEAD: 401}
