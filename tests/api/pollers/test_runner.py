"""One process polls, what it finds is stored once, and another goes on where it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from api.pollers import runner as pollers
from api.pollers.kinds import READERS
from api.pollers.runner import NotLeading, PollRunner
from api.pollers.targets import Target
from context_builder.telemetry.polled.pollers import PollerHealth, poller_reports
from models import Deployment, Incident, PollerState, StateTransition
from models.database import Database
from models.errors import DatabaseUnreachable
from models.leadership import Leadership
from tests.api.pollers.conftest import NOON, incident, page, target_of
from tests.api.pollers.test_servers import metrics
from tests.loopback.raw_upstream import HANG, RawUpstream, whole
from tests.support.patience import PATIENCE_S

MakeRunner = Callable[..., PollRunner]
MINUTE = timedelta(minutes=1)


async def rows(database: Database, *columns: Any) -> list[tuple[Any, ...]]:
    async with database.write() as session:
        return [tuple(row) for row in await session.execute(select(*columns))]


@pytest.mark.both_databases
async def test_an_incident_of_a_page_comes_and_goes(
    database: Database, upstream: RawUpstream, runner: MakeRunner
) -> None:
    """Over several processes: each knows the tag, the open incidents and the failures of the one before."""
    target = target_of(url=upstream.url)
    now = [NOON]

    async def poll(*answer: Any) -> tuple[Any, ...]:
        upstream.script(answer)
        await runner(target, clock=lambda: now[0]).once()
        (known,) = await rows(database, PollerState.failures, PollerState.error, PollerState.succeeded_at,
                              PollerState.next_at)  # fmt: skip
        now[0] += MINUTE
        return known

    failures, error, succeeded_at, next_at = await poll(*whole(page(incident()), headers={"etag": '"1"'}))
    assert (failures, error, succeeded_at) == (0, None, NOON)
    assert timedelta(seconds=54) <= next_at - NOON <= timedelta(seconds=66)
    await poll(*whole(b"", 304))
    assert upstream.requests[-1].values("if-none-match") == ['"1"']
    for number in (1, 2):
        failures, error, succeeded_at, next_at = await poll(*whole(b"", 500))
        assert (failures, error, succeeded_at) == (number, "HTTP status 500", NOON + MINUTE)
        assert next_at - (now[0] - MINUTE) >= 2**number * timedelta(seconds=54)
    assert await rows(database, Incident.public_id, Incident.status, Incident.target) == [
        ("sp_p1_x1_1795172400", "active", "aws")
    ]
    await poll(*whole(page()))
    assert await rows(database, Incident.status, Incident.resolved_at) == [("resolved", NOON + 4 * MINUTE)]
    async with database.read() as session:
        health = [(await poller_reports(session, at))[0].health for at in (now[0], now[0] + 16 * MINUTE)]
    assert health == [PollerHealth.OK, PollerHealth.STALE]


async def test_one_target_costs_the_others_nothing(
    database: Database, upstream: RawUpstream, runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hangs, one sends garbage, one meets an error of ours; the fourth is read, and each says so."""
    targets = [target_of("model_server", f"{upstream.url}/{name}", deployment=f"{name}/own", deadline_s=0.3)
               for name in ("hangs", "garbage", "breaks", "well")]  # fmt: skip
    answers = {
        "/hangs": (HANG,),
        "/garbage": whole(b"\0"),
        "/breaks": whole(metrics()),
        "/well": whole(metrics()),
    }
    exchange = upstream._exchange

    async def by_path(head: str, *streams: Any) -> bool:
        upstream.default = answers[head.split(" ")[1]]
        return await exchange(head, *streams)

    monkeypatch.setattr(upstream, "_exchange", by_path)
    read = dict(READERS)

    def breaks(poll: Any) -> Any:
        if poll.target.about == "breaks/own":
            raise ZeroDivisionError
        return read[poll.target.kind](poll)

    monkeypatch.setattr(pollers, "READERS", dict.fromkeys(read, breaks))
    await runner(*targets).once()
    errors = dict(await rows(database, PollerState.about, PollerState.error))
    assert errors["hangs/own"] == "no whole answer within 0.3 s"
    assert "no metric" in errors["garbage/own"]
    assert "ZeroDivisionError" in errors["breaks/own"]
    assert errors["well/own"] is None
    assert await rows(database, Deployment.public_id, Deployment.status) == [("well/own", "healthy")]


@pytest.mark.both_databases
async def test_transitions_are_derived_and_old_targets_forgotten(
    database: Database, upstream: RawUpstream, runner: MakeRunner
) -> None:
    """Unknown, healthy, down, healthy; a target that is no longer in the file is no longer shown."""
    target = target_of("model_server", upstream.url)
    await runner(target_of("litellm", "http://127.0.0.1:1")).once()
    for minute, answer in enumerate((whole(metrics()), whole(b"", 503), whole(b"", 503), whole(metrics()))):
        upstream.script(answer)
        await runner(target, clock=lambda at=NOON + minute * MINUTE: at).once()
    found = await rows(database, StateTransition.from_status, StateTransition.to_status)
    assert found == [("unknown", "healthy"), ("healthy", "down"), ("down", "healthy")]
    assert await rows(database, PollerState.name) == [("model_server llama/own",)]


@pytest.mark.both_databases
async def test_one_process_leads_and_another_takes_over(database: Database) -> None:
    """Whatever ends the first one: its release, or the loss of its lock, which holds up no VACUUM."""
    first, second, other = (Leadership(database, work) for work in ("pollers", "pollers", "archive"))
    assert [await each.is_held() for each in (first, second, other, first)] == [True, False, True, True]
    await first.release()
    assert [await each.is_held() for each in (second, first)] == [True, False]
    if not database.is_sqlite:
        async with database.read() as session:
            held = "SELECT count(backend_xmin) FROM pg_stat_activity WHERE datname = current_database()"
            assert await session.scalar(text(f"{held} AND pid <> pg_backend_pid()")) == 0
        # As when the server ends a connection: its holder finds out, and does not lead on.
        second._connection.terminate()
        await until(first.is_held, expected=True)
        await until(second.is_held, expected=False)
    for each in (first, second, other):
        await each.release()


@pytest.mark.postgres
async def test_the_lead_outlasts_a_bound_on_idle_transactions(postgres_url: str) -> None:
    """Work of hours is done by one process also where the server ends transactions that are idle."""
    bound = "options=-c%20idle_in_transaction_session_timeout%3D50"
    database = Database(f"{postgres_url}{'&' if '?' in postgres_url else '?'}{bound}")
    leadership = Leadership(database, "pollers")
    assert await leadership.is_held()
    await asyncio.sleep(0.3)
    assert await leadership.is_held()
    await leadership.release()
    await database.close()


async def until(check: Callable[[], Awaitable[bool]], *, expected: bool) -> None:
    """Return once a check says so; a connection that is gone is an error first."""
    async with asyncio.timeout(PATIENCE_S):
        is_so: bool | None = None
        while is_so is not expected:
            await asyncio.sleep(0.01)
            with suppress(DatabaseUnreachable):
                is_so = await check()


async def test_pollers_go_on_until_they_lose_the_lead(
    database: Database, upstream: RawUpstream, runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one runs, another one polls nothing; it takes over when the first one ends, without a pause."""
    monkeypatch.setattr(pollers, "CHECK_S", 0.02)
    monkeypatch.setattr("api.pollers.runner.first_pause", lambda *_: 0.0)
    monkeypatch.setattr("api.pollers.runner.pause_after", lambda *_: 0.02)
    upstream.default = whole(page())
    target: Target = target_of(url=upstream.url)

    async def polls(more: int) -> None:
        asked = len(upstream.requests)
        await upstream.until(lambda: len(upstream.requests) >= asked + more)

    first = asyncio.create_task(runner(target).run())
    await polls(2)
    with pytest.raises(NotLeading, match="another process polls already"):
        await runner(target).once()
    waiting = runner(target)
    second = asyncio.create_task(waiting.run())
    await polls(2)
    assert not waiting._states
    first.cancel()
    await asyncio.wait([first])
    await polls(2)
    assert waiting._states
    second.cancel()
    await asyncio.wait([second])


async def test_who_no_longer_leads_stores_nothing(
    database: Database, upstream: RawUpstream, runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that was under way when the lead was lost leaves rows and state to the new leader."""
    held = [True, False]

    async def is_held(_: Leadership) -> bool:
        return held.pop(0)

    monkeypatch.setattr(Leadership, "is_held", is_held)
    upstream.default = whole(page(incident()))
    with pytest.raises(NotLeading):
        await runner(target_of(url=upstream.url)).once()
    assert await rows(database, Incident.public_id) == await rows(database, PollerState.name) == []
