"""Callers that reserve at the same time, in processes of their own, one of which may be killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from decimal import Decimal
from multiprocessing.process import BaseProcess

from context_builder.spend.accounts import Payer
from context_builder.spend.ledger import CapReached, SpendLedger
from models.database import Database
from tests.support.forked import forked

WORST = Decimal("0.10")
COST = Decimal("0.03")
CALLERS = 1_000


async def call_at_once(database: Database, callers: int, payers: Sequence[Payer], *, settles: bool) -> int:
    """Make calls of WORST all at once, each for the next payer; return how many were let through.

    With `settles` each costs COST, else all stay in flight until every one has asked.
    """
    ledger, asked = SpendLedger(database), asyncio.Event()
    left = callers

    async def call(payer: Payer) -> bool:
        nonlocal left
        try:
            async with ledger.reserved(WORST, payer) as reservation:
                left -= 1
                if not settles:
                    if left == 0:
                        asked.set()
                    await asked.wait()
                reservation.settle(COST if settles else WORST)
        except CapReached:
            left -= 1
            if left == 0:
                asked.set()
            return False
        return True

    return sum(await asyncio.gather(*(call(payers[number % len(payers)]) for number in range(callers))))


def started(url: str, callers: int, payers: Sequence[Payer], *, settles: bool) -> BaseProcess:
    """Start a process that makes the calls."""
    return forked(_call, url, callers, tuple(payers), settles)


def started_to_die(url: str, payer: Payer) -> BaseProcess:
    """Start a process that is killed between reserving a call and settling it."""
    return forked(_die, url, payer)


def ended(process: BaseProcess) -> int:
    """The exit code; for a killed process the negative number of the signal."""
    process.join(120)
    assert process.exitcode is not None, "it still runs"
    return process.exitcode


def _call(url: str, callers: int, payers: Sequence[Payer], settles: bool) -> None:
    async def run() -> None:
        database = Database(url)
        await call_at_once(database, callers, payers, settles=settles)
        await database.close()

    asyncio.run(run())


def _die(url: str, payer: Payer) -> None:
    async def run() -> None:
        async with SpendLedger(Database(url)).reserved(WORST, payer):
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(run())
