"""The journal of calls: one owner per incident, and nothing that has arrived is lost."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from context_builder.jobs.lease import LEASE, Lease, LeaseLost
from context_builder.llm.chat_model import Reply
from context_builder.llm.usage import Usage
from context_builder.postmortems.journal import CallJournal, ClaimedCall, DocumentPlan, PaidReply
from context_builder.postmortems.template import SectionTemplate, Template
from models import Incident, PostmortemCall
from models.database import Database
from tests.support.patience import PATIENCE_S
from tests.support.source_results import asked, packed

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
TEMPLATE = Template("small", (SectionTemplate("Summary", ("model",), "two sentences"),))
PLAN = DocumentPlan(manifest=packed(asked(), []), template=TEMPLATE, incident_digest="d" * 64)

MakeJournal = Callable[[str], CallJournal]


def paid(text: str = "## Summary\n\nIt was bad.", **values: Any) -> PaidReply:
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
async def journal(database: Database, at: list[datetime]) -> MakeJournal:
    """Journals of several processes over one incident."""
    async with database.write() as session:
        session.add(
            Incident(
                id=1, public_id="inc_1", title="t", severity="high", status="resolved",
                started_at=NOW - timedelta(hours=2), resolved_at=NOW - timedelta(hours=1),
            )
        )  # fmt: skip
    return lambda owner: CallJournal(database, Lease(owner=f"{owner}:1:1.00", clock=lambda: at[0]))


async def claimed(journal: CallJournal) -> ClaimedCall:
    call = await journal.claim(1)
    assert call is not None
    return call


async def rows(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(PostmortemCall)) or 0


async def test_one_of_many_concurrent_claims_succeeds(journal: MakeJournal) -> None:
    """Of one process or of several: exactly one owns the incident."""
    journals = [journal(f"host-{number % 3}-{number}") for number in range(12)]
    calls = await asyncio.gather(*(each.claim(1) for each in journals))
    assert sum(call is not None for call in calls) == 1


async def test_a_call_is_taken_over_with_all_it_had(journal: MakeJournal, at: list[datetime]) -> None:
    """Once the lease has expired another process gets plan, cost and reply, as they were stored."""
    first, second = journal("a"), journal("b")
    call = await first.built(await claimed(first), PLAN, Decimal("0.0123"))
    await first.confirm(call)
    assert await second.claim(1) is None
    replied = await first.replied(call, paid())
    assert replied is not None
    at[0] += LEASE
    taken = await claimed(second)
    assert taken == replied
    assert (taken.plan, taken.worst_cost_usd, taken.reply) == (PLAN, Decimal("0.0123"), paid())


async def test_the_loser_of_a_lease_must_not_make_the_call(journal: MakeJournal, at: list[datetime]) -> None:
    """A process that slept past its lease learns it before it pays, and cannot release another's call."""
    first, second = journal("a"), journal("b")
    call = await claimed(first)
    at[0] += LEASE
    await claimed(second)
    with pytest.raises(LeaseLost):
        await first.built(call, PLAN, Decimal(1))
    with pytest.raises(LeaseLost):
        await first.confirm(call)
    await first.release(call)
    await second.confirm(call)


async def test_a_reply_that_arrives_after_a_takeover_is_stored_once(
    journal: MakeJournal, at: list[datetime]
) -> None:
    """The first reply wins, anyone who has it; a call with a reply is released with it, at once."""
    first, second = journal("a"), journal("b")
    call = await claimed(first)
    at[0] += LEASE
    taken = await claimed(second)
    assert await first.replied(call, paid("one")) is not None
    assert await second.replied(taken, paid("two")) is None
    await second.release(taken)
    found = await claimed(journal("c"))
    assert found.reply is not None
    assert found.reply.reply.text == "one"


async def test_a_reply_that_no_database_accepts_is_stored_all_the_same(journal: MakeJournal) -> None:
    """NUL, lone surrogates and endless names are replaced or cut: the text is paid for."""
    first = journal("a")
    stored = await first.replied(
        await claimed(first), paid("a\x00b\ud800c", model="m" * 500, stop_reason="\x00" * 90)
    )
    assert stored is not None
    assert stored.reply is not None
    reply = stored.reply.reply
    assert (reply.text, len(reply.model), len(reply.stop_reason)) == ("a\ufffdb\ufffdc", 100, 50)


async def test_a_held_call_stays_its_owner_s(database: Database, journal: MakeJournal) -> None:
    """Renewed in the database while the block runs, and only the calls that are held."""
    duration = timedelta(milliseconds=30)
    quick = CallJournal(database, Lease(owner="a:1:1.00", duration=duration))
    call = await claimed(quick)

    async def renewed(since: datetime) -> datetime:
        while True:
            async with database.read() as session:
                until = (await session.scalars(select(PostmortemCall.leased_until))).one()
            if until > since:
                return until
            await asyncio.sleep(0.005)

    async with asyncio.timeout(PATIENCE_S):
        async with quick.held(PostmortemCall.id == call.id):
            first = await renewed(NOW)
            await renewed(await renewed(first))
        async with quick.held(PostmortemCall.id != call.id):
            await asyncio.sleep(0.1)
    async with asyncio.timeout(PATIENCE_S):
        other = CallJournal(database, Lease(owner="b:1:1.00"))
        while await other.claim(1) is None:  # noqa: ASYNC110  leases expire by the clock
            await asyncio.sleep(0.005)


async def test_a_call_ends_once(database: Database, journal: MakeJournal) -> None:
    """The second of two that end it learns that, to roll back; a failed transaction leaves the row."""
    first = journal("a")
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


async def test_a_released_call_starts_over(journal: MakeJournal) -> None:
    """Nothing of it stays, and the next call has another id."""
    first = journal("a")
    call = await first.built(await claimed(first), PLAN, Decimal(1))
    await first.release(call)
    again = await claimed(first)
    assert again.plan is None
    assert again.custom_id != call.custom_id
