"""Leases: a row belongs to one process until it is silent for too long, or known to be dead."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from context_builder.jobs.lease import LEASE, NOBODY, Lease, is_dead, process_identity
from tests.support.patience import PATIENCE_S

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ELSEWHERE = "another-host:1:1.00"
SCRIPT = "from context_builder.jobs.lease import process_identity as me; print(me(), flush=True); input()"


async def test_a_lease_ends_when_it_expires() -> None:
    """To the microsecond; a row of nobody is free at once."""
    lease = Lease(owner="a:1:1.00", clock=lambda: NOW)
    assert await lease.mine() == {"owner": "a:1:1.00", "leased_until": NOW + LEASE}
    assert not await lease.is_free(ELSEWHERE, NOW + timedelta(microseconds=1))
    assert await lease.is_free(ELSEWHERE, NOW)
    assert await lease.is_free(NOBODY, NOW + LEASE)
    assert lease.nobody() == {"owner": NOBODY, "leased_until": NOW}


@pytest.mark.process
async def test_a_dead_owner_of_this_host_is_recognized() -> None:
    """It is alive until it is killed, and dead even before its parent collects the exit code."""
    lease = Lease(clock=lambda: NOW)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(  # noqa: ASYNC220  it only prints its identity
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        owner = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert not await lease.is_free(owner, NOW + LEASE)
        process.kill()
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert await lease.is_free(owner, NOW + LEASE), "a zombie does no work"
    assert await lease.is_free(owner, NOW + LEASE)


def test_who_may_be_alive_is_not_called_dead() -> None:
    """This process, one on another host, one that 0.1.0 named in clock ticks, and nonsense."""
    mine = process_identity()
    host = mine.rsplit(":", 2)[0]
    for owner in (mine, ELSEWHERE, f"{host}:{os.getpid()}:123456", f"{host}:x:1.00", "", ":", "::"):
        assert not is_dead(owner), owner
    assert is_dead(f"{host}:{os.getpid()}:0.01"), "another process had this number before"


async def test_leases_are_renewed_while_they_are_held() -> None:
    """Again and again until the block ends, however often a renewal fails."""
    renewed: list[dict[str, object]] = []
    enough = asyncio.Event()

    async def renew(mine: dict[str, object]) -> None:
        renewed.append(mine)
        if len(renewed) == 2:
            raise OSError("the database is away")
        if len(renewed) == 4:
            enough.set()

    async with Lease(owner="a:1:1.00", duration=timedelta(milliseconds=30)).held(renew):
        async with asyncio.timeout(PATIENCE_S):
            await enough.wait()
    count = len(renewed)
    await asyncio.sleep(0.05)
    assert len(renewed) == count
    assert {mine["owner"] for mine in renewed} == {"a:1:1.00"}
