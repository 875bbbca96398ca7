"""The journal of calls: one holder per incident, and nothing that has arrived is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from context_builder.llm.chat_model import Reply
from context_builder.llm.usage import Usage
from context_builder.postmortems.journal import LEASE, ClaimedCall, CallJournal, CallLost, PaidReply, DocumentPlan
from context_builder.postmortems.process import is_dead, this_process
from context_builder.postmortems.template import SectionTemplate, Template
from models import Incident, PostmortemBatch, PostmortemCall
from models.database import Database
from support.source_results import asked, packed

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ELSEWHERE = "another-host:1:1"
TEMPLATE = Template("small", (SectionTemplate("Summary", ("model",), "two sentences"),))
PLAN = DocumentPlan(manifest=packed(asked(), []), template=TEMPLATE, incident_digest="d" * 64)


def paid(text: str = "## Summary\n\nIt was bad.", **values: str) -> PaidReply:
    reply = Reply(
        text=text,
        stop_reason="end_turn",
        model="claude-sonnet-5-5",
        usage=Usage(100, 20, 3, 4),
        request_id="req_1",
        first_token_ms=None,
        latency_ms=900,
    )
    return PaidReply(reply=dataclasses.replace(reply, **values), cost_usd=Decimal("0.000123456789"))


@pytest.fixture
def at() -> list[datetime]:
    return [NOW]


@pytest.fixture
async def journal(database: Database, at: list[datetime]) -> Callable[..., CallJournal]:
    """Journals of several processes over one incident."""
    async with database.write() as session:
        session.add(
            Incident(
                id=1, public_id="inc_1", title="t", severity="high", status="resolved",
                started_at=NOW - timedelta(hours=2), resolved_at=NOW - timedelta(hours=1),
            )
        )  # fmt: skip
    return lambda owner=ELSEWHERE: CallJournal(database, owner=owner, clock=lambda: at[0])


async def claimed(journal: CallJournal) -> ClaimedCall:
    call = await journal.claim(1)
    assert call is not None
    return call


async def rows(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(PostmortemCall)) or 0


async def test_of_many_who_want_it_one_has_it(journal: Callable[..., CallJournal]) -> None:
    """Concurrent claims of one incident, of one process or of several: exactly one holds it."""
    journals = [journal(f"host-{number % 3}:{number}:1") for number in range(12)]
    calls = await asyncio.gather(*(each.claim(1) for each in journals))
    assert sum(call is not None for call in calls) == 1


async def test_a_call_comes_back_as_far_as_it_had_got(
    journal: Callable[..., CallJournal], at: list[datetime]
) -> None:
    """Once the lease has run out another process gets plan, cost and reply, equal to what was kept."""
    first, second = journal("a:1:1"), journal("b:1:1")
    call = await first.sent(await first.built(await claimed(first), PLAN, Decimal("0.0123")))
    assert await second.claim(1) is None
    replied = await first.replied(call, paid())
    assert replied is not None
    at[0] += LEASE
    taken = await claimed(second)
    assert taken == replied
    assert (taken.plan, taken.worst_cost_usd, taken.attempts) == (PLAN, Decimal("0.0123"), 1)
    assert taken.reply == paid()


async def test_who_lost_a_call_must_not_make_it(
    journal: Callable[..., CallJournal], at: list[datetime]
) -> None:
    """A process that slept past its lease is told before it pays, and cannot release what is another's."""
    first, second = journal("a:1:1"), journal("b:1:1")
    call = await claimed(first)
    at[0] += LEASE
    await claimed(second)
    with pytest.raises(CallLost):
        await first.built(call, PLAN, Decimal(1))
    with pytest.raises(CallLost):
        await first.sent(call)
    await first.release(call)
    assert await second.sent(call)


async def test_a_reply_that_arrives_after_a_takeover_is_kept_once(
    journal: Callable[..., CallJournal], at: list[datetime]
) -> None:
    """The first reply wins, whoever has it; the second is told, and what has a reply is never released."""
    first, second = journal("a:1:1"), journal("b:1:1")
    call = await claimed(first)
    at[0] += LEASE
    taken = await claimed(second)
    assert await first.replied(call, paid("one")) is not None
    assert await second.replied(taken, paid("two")) is None
    await second.release(taken)
    at[0] += LEASE
    found = await claimed(journal("c:1:1"))
    assert found.reply is not None
    assert found.reply.reply.text == "one"


async def test_a_reply_that_no_database_takes_is_kept_all_the_same(
    journal: Callable[..., CallJournal], at: list[datetime]
) -> None:
    """NUL, half surrogate pairs and endless names are replaced or cut: the text is paid for."""
    first = journal()
    kept = await first.replied(
        await claimed(first), paid("a\x00b\ud800c", model="m" * 500, stop_reason="\x00" * 90)
    )
    assert kept is not None
    assert kept.reply is not None
    assert kept.reply.reply.text == "a\ufffdb\ufffdc"
    assert (len(kept.reply.reply.model), len(kept.reply.reply.stop_reason)) == (100, 50)


async def test_leases_are_renewed_while_held(database: Database, journal: Callable[..., CallJournal]) -> None:
    """A call that takes longer than a lease stays its holder's."""
    quick = CallJournal(database, owner="a:1:1", lease=timedelta(seconds=0.3))
    call = await claimed(quick)
    other = CallJournal(database, owner="b:1:1", lease=timedelta(seconds=0.3))
    async with quick.held([call]):
        for _ in range(4):
            await asyncio.sleep(0.15)
            assert await other.claim(1) is None
    await asyncio.sleep(0.31)
    assert await other.claim(1) is not None


async def test_a_dead_owner_of_this_machine_is_not_waited_for(
    journal: Callable[..., CallJournal], database: Database
) -> None:
    """Its lease need not run out; one that lives, also under a number that was used before, keeps it."""
    script = (
        "from context_builder.postmortems.process import this_process as t; print(t(), flush=True); input()"
    )
    with subprocess.Popen(  # noqa: ASYNC220  it only says who it is
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        owner = (await asyncio.to_thread(process.stdout.readline)).strip()
        await claimed(journal(owner))
        assert await journal().claim(1) is None
        process.kill()
        await asyncio.to_thread(process.wait)
    assert await claimed(journal())
    mine = await asyncio.to_thread(this_process)
    assert not await asyncio.to_thread(is_dead, mine)
    assert await asyncio.to_thread(is_dead, f"{mine}0"), "another process had the number before"
    assert not await asyncio.to_thread(is_dead, ELSEWHERE)


async def test_a_call_in_a_batch_is_nobody_s_until_its_result_is_there(
    database: Database, journal: Callable[..., CallJournal], at: list[datetime]
) -> None:
    """However long it takes, no process makes the call a second time; the result finds it by its id."""
    first = journal()
    call = await first.built(await claimed(first), PLAN, Decimal(1))
    async with database.write() as session:
        session.add(PostmortemBatch(id=7, model="m", created_at=NOW))
        await session.flush()
        await first.join_batch_in(session, [call], 7)
    at[0] += timedelta(days=2)
    assert await journal("b:1:1").claim(1) is None
    (waiting,) = await first.of_batch(7, custom_ids=[call.custom_id, "pm_other"])
    assert await first.replied(waiting, paid()) is not None
    assert await first.of_batch(7) == ()
    assert (await claimed(journal("b:1:1"))).reply == paid()


async def test_a_call_ends_once(database: Database, journal: Callable[..., CallJournal]) -> None:
    """Of two who end it the second is told, and rolls back; a failed transaction leaves the row."""
    first = journal()
    call = await claimed(first)
    with pytest.raises(ZeroDivisionError):
        async with database.write() as session:
            assert await first.finish_in(session, call)
            raise ZeroDivisionError
    assert await rows(database) == 1
    async with database.write() as session:
        assert await first.finish_in(session, call)
    async with database.write() as session:
        assert not await first.finish_in(session, call)
    assert await claimed(first), "it may be claimed again"


async def test_a_released_call_begins_anew(journal: Callable[..., CallJournal]) -> None:
    """Nothing of it stays, and the next call has another id."""
    first = journal()
    call = await first.built(await claimed(first), PLAN, Decimal(1))
    await first.release(call)
    again = await claimed(first)
    assert again.plan is None
    assert again.custom_id != call.custom_id
