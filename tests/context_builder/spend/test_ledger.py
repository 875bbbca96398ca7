"""Law 4: no number of callers passes a cap together, and what a call cost is known or counts in full."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from context_builder.jobs.lease import Lease
from context_builder.spend.accounts import Payer
from context_builder.spend.caps import set_cap
from context_builder.spend.ledger import CapReached, SpendLedger
from models import AccountKind, SpendBalance, SpendReservation
from models.database import Database
from models.errors import DatabaseReadOnly
from tests.support.gateway import Gateway
from tests.support.patience import PATIENCE_S
from tests.support.spending_process import (
    CALLERS,
    COST,
    WORST,
    call_at_once,
    ended,
    started,
    started_to_die,
)

ROOM = 37
"""Calls that fit under the cap."""
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = Payer(user="u", key="k", team="t")
NOBODY = Payer()


@pytest.fixture
async def capped(database: Database) -> Database:
    """The installation may spend ROOM calls a day, wherever the sun is."""
    await set_cap(database, AccountKind.INSTALLATION, "", ROOM * WORST, "UTC")
    return database


Pair = tuple[Decimal | int, Decimal | int]


async def balances(database: Database) -> dict[str, Pair]:
    """What each account has spent and reserved, by its kind and subject."""
    async with database.read() as session:
        found = await session.scalars(select(SpendBalance))
        return {f"{each.kind}:{each.subject}": (each.spent_usd, each.reserved_usd) for each in found}


def ledger_at(database: Database, moment: datetime) -> SpendLedger:
    return SpendLedger(database, Lease(clock=lambda: moment))


@pytest.mark.both_databases
@pytest.mark.long
async def test_a_thousand_callers_of_one_process_never_pass_the_cap(capped: Database) -> None:
    """As many as fit are let through, no more and no fewer, and what they cost is known to the cent."""
    payers = [Payer(user=f"u{number}", key="k") for number in range(5)]
    assert await call_at_once(capped, CALLERS, payers, settles=False) == ROOM
    found = await balances(capped)
    assert found["installation:"] == found["key:k"] == (ROOM * WORST, 0)
    assert sum(spent for name, (spent, _) in found.items() if name.startswith("user:")) == ROOM * WORST


@pytest.mark.both_databases
@pytest.mark.long
@pytest.mark.process
async def test_four_processes_never_pass_the_cap(capped: Database, database_url: str) -> None:
    """Whatever they reserve and settle at the same time, spent and reserved together stay within."""
    # In other orders, so that two that locked as they were named would wait for each other.
    payers = [Payer(user="a", team="t"), Payer(team="t", key="k"), Payer(key="k", user="b"), Payer(user="a")]
    processes = [
        await asyncio.to_thread(started, database_url, 3 * ROOM, payers[n:] + payers[:n], settles=True)
        for n in range(4)
    ]
    most: Decimal | int = 0
    while any(each.is_alive() for each in processes):
        spent, reserved = (await balances(capped)).get("installation:", (0, 0))
        most = max(most, spent + reserved)
        await asyncio.sleep(0.01)
    assert [await asyncio.to_thread(ended, each) for each in processes] == [0, 0, 0, 0]
    spent, reserved = (await balances(capped))["installation:"]
    assert max(most, spent) <= ROOM * WORST
    assert reserved == 0
    assert spent % COST == 0
    assert spent >= ROOM * COST, "as many as fit at once were let through"


@pytest.mark.both_databases
@pytest.mark.process
async def test_what_a_killed_process_reserved_counts_in_full(capped: Database, database_url: str) -> None:
    """Nobody knows whether its call was made: it holds its room, and has spent it once swept."""
    process = await asyncio.to_thread(started_to_die, database_url, ALL)
    assert await asyncio.to_thread(ended, process) == -9
    assert (await balances(capped))["installation:"] == (0, WORST)
    ledger = SpendLedger(capped)
    async with ledger.reserved(COST, NOBODY) as alive:
        assert [await ledger.sweep() for _ in range(2)] == [1, 0]
        assert await balances(capped) == {
            **dict.fromkeys(["user:u", "key:k", "team:t"], (WORST, 0)),
            "installation:": (WORST, COST),
        }
        alive.settle(Decimal(0))
    assert await call_at_once(capped, ROOM, [NOBODY], settles=False) == ROOM - 1


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "kind", [AccountKind.USER, AccountKind.KEY, AccountKind.TEAM, AccountKind.INSTALLATION]
)
async def test_every_account_must_have_room(database: Database, kind: AccountKind) -> None:
    """One that has none refuses the call, by its name, and then nothing is reserved in the others."""
    subject = ALL.subjects()[kind]
    await set_cap(database, kind, subject, WORST * 2, "UTC")
    ledger = ledger_at(database, NOON)
    async with ledger.reserved(WORST, ALL), ledger.reserved(WORST / 2, ALL) as second:
        before = await balances(database)
        with pytest.raises(CapReached) as refused:
            async with ledger.reserved(WORST, ALL):
                pass
        assert await balances(database) == before
        second.settle(Decimal(0))
    name = "the installation" if kind is AccountKind.INSTALLATION else f"{kind} {subject}"
    assert str(refused.value) == (
        f"{name} has $0.0500 left of $0.20 for 2026-11-20 (UTC), and the call could cost $0.10"
    )
    assert set((await balances(database)).values()) == {(WORST, Decimal(0))}


calls = st.lists(st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 100))), max_size=12)


@pytest.mark.database
@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=calls, cap=st.integers(0, 100), workers=st.integers(1, 5))
async def test_no_calls_in_any_order_pass_the_cap(
    database: Database, calls: list[tuple[int, int | None]], cap: int, workers: int
) -> None:
    """Spent and reserved never exceed it; a run is refused only what could not have fitted then."""
    async with database.write() as session:
        await session.execute(delete(SpendBalance))
    ledger, waiting = SpendLedger(database), iter(calls)
    payer = Payer(run="r", run_limit_usd=Decimal(cap) / 100)
    paid, refused = Decimal(0), []

    async def work() -> None:
        nonlocal paid
        for cents, share in waiting:
            worst = Decimal(cents) / 100
            try:
                async with ledger.reserved(worst, payer) as reservation:
                    assert sum((await balances(database))["run:r"]) * 100 <= cap
                    if share is not None:
                        reservation.settle(worst * share / 100)
                    paid += reservation.cost
            except CapReached:
                assert (paid + worst) * 100 > cap
                refused.append(worst)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    assert await ledger.spent(AccountKind.RUN, "r") == paid
    assert all((worst + paid) * 100 > cap for worst in refused), "none was refused that would fit now"


@pytest.mark.both_databases
async def test_a_run_waits_for_its_calls_in_flight(database: Database) -> None:
    """What was reserved and not spent goes to the calls that wait for it; a cheaper one need not wait."""
    ledger, entered = SpendLedger(database), asyncio.Event()
    payer = Payer(run="r", run_limit_usd=Decimal(10))

    async def second() -> None:
        async with ledger.reserved(Decimal(8), payer):
            entered.set()

    async with ledger.reserved(Decimal(8), payer) as first:
        waiting = asyncio.create_task(second())
        async with ledger.reserved(Decimal(2), payer) as cheaper:
            cheaper.settle(Decimal(0))
        assert not entered.is_set()
        first.settle(Decimal(1))
    await asyncio.wait_for(waiting, PATIENCE_S)
    assert await ledger.spent(AccountKind.RUN, "r") == 9
    with pytest.raises(CapReached, match=r"^this run has \$1\.00 left of \$10\.00, and the call"):
        await ledger.require(Decimal(2), payer)


@pytest.mark.both_databases
async def test_a_cancelled_call_counts_in_full_and_one_that_waited_not_at_all(
    database: Database,
) -> None:
    """Nobody knows what was billed of a call that was broken off."""
    ledger, payer = SpendLedger(database), Payer(run="r", run_limit_usd=Decimal(10))
    under_way = asyncio.Event()

    async def call() -> None:
        async with ledger.reserved(Decimal(6), payer):
            under_way.set()
            await asyncio.sleep(PATIENCE_S)

    first = asyncio.create_task(call())
    await under_way.wait()
    others = [asyncio.create_task(call()) for _ in range(5)]
    # At whatever step of reserving each of them is.
    for other in others:
        await asyncio.sleep(0.002)
        other.cancel()
    first.cancel()
    await asyncio.gather(first, *others, return_exceptions=True)
    assert (await balances(database))["run:r"] == (6, 0)
    async with database.read() as session:
        assert (await session.scalars(select(SpendReservation))).all() == []


@pytest.mark.both_databases
async def test_a_day_begins_at_midnight_of_its_owner(database: Database) -> None:
    """Also on a day of 23 hours; a call belongs to the day on which it was reserved."""
    await set_cap(database, AccountKind.TEAM, "t", WORST, "Europe/Berlin")
    team = Payer(team="t")
    before = datetime(2026, 3, 28, 22, 59, tzinfo=UTC)
    async with ledger_at(database, before).reserved(WORST, team):
        for minutes, room in ((0, False), (1, True), (23 * 60, False), (23 * 60 + 1, True)):
            later = ledger_at(database, before + timedelta(minutes=minutes))
            if room:
                async with later.reserved(WORST, team):
                    pass
            else:
                with pytest.raises(CapReached, match="Europe/Berlin"):
                    await later.require(WORST * 2, team)
                with pytest.raises(CapReached):
                    await later.hold("x", WORST, team, duration=timedelta(days=1))
    async with database.read() as session:
        days = {
            each.period: each.spent_usd
            for each in await session.scalars(select(SpendBalance))
            if each.kind == "team"
        }
    assert days == dict.fromkeys(["2026-03-28", "2026-03-29", "2026-03-30"], WORST)


@pytest.mark.both_databases
async def test_the_own_cap_wins_then_the_default_then_the_gateway_s_budget(database: Database) -> None:
    """A user without a cap may spend what is left of its daily budget; a cap may lift that."""
    gateway = Gateway(database)
    await gateway.user("acme", daily_budget_usd=Decimal(5))
    await gateway.deployment()
    yesterday, today = NOON - timedelta(hours=13), NOON - timedelta(hours=1)
    await gateway.append(
        [gateway.request(at, user="acme", cost_usd=Decimal("4.5")) for at in (yesterday, today)]
    )
    ledger, acme = ledger_at(database, NOON), Payer(user="acme")
    with pytest.raises(CapReached, match=r"^user acme has \$0\.50 left of \$0\.50 for 2026-11-20"):
        await ledger.require(Decimal(1), acme)
    await set_cap(database, AccountKind.USER, "*", Decimal(2), None)
    await ledger.require(Decimal(2), acme)
    with pytest.raises(CapReached, match=r"left of \$2\.00"):
        await ledger.require(Decimal(3), Payer(user="somebody"))
    await set_cap(database, AccountKind.USER, "acme", None, None)
    await ledger.require(Decimal(1000), acme)


async def test_a_prompt_of_a_batch_outlives_its_process(database: Database) -> None:
    """It is swept by nobody while the batch may run, and settled by its reference, once."""
    ledger = SpendLedger(database)
    for _ in range(2):  # the first of a process that died before the batch was submitted
        await ledger.hold("pm_1", WORST, NOBODY, duration=timedelta(days=30))
    assert await SpendLedger(database, Lease(owner="another")).sweep() == 0
    assert (await balances(database))["installation:"] == (0, WORST)
    assert [await ledger.settle("pm_1", COST) for _ in range(2)] == [True, False]
    assert (await balances(database))["installation:"] == (COST, 0)
    await ledger.hold("pm_2", WORST, NOBODY, duration=timedelta(0))
    assert await SpendLedger(database, Lease(owner="another")).sweep() == 1
    assert (await balances(database))["installation:"] == (COST + WORST, 0)


async def test_what_can_reserve_nothing_pays_only_where_no_cap_could_be_passed(
    database: Database, database_url: str
) -> None:
    """A database that is open read-only keeps no ledger: with a cap no call is made, without one it is."""
    reading = Database(database_url, read_only=True)
    async with SpendLedger(reading).reserved(WORST, ALL):
        pass
    await set_cap(database, AccountKind.KEY, "k", WORST * 10, "UTC")
    with pytest.raises(DatabaseReadOnly, match=r"^key k has a cap, and"):
        async with SpendLedger(reading).reserved(WORST, ALL):
            pass
    await reading.close()
    assert await balances(database) == {}
