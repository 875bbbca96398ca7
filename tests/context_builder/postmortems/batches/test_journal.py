"""The journal of batches: nothing is handed over twice, and what waits for results is nobody's to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from context_builder.llm.chat_model import Reply
from context_builder.llm.usage import Usage
from context_builder.postmortems.batches import journal as batch_journal
from context_builder.postmortems.batches.journal import BatchJournal
from context_builder.postmortems.journal import LEASE, ClaimedCall, CallJournal, CallLost, PaidReply, DocumentPlan
from context_builder.postmortems.template import SectionTemplate, Template
from models import Incident, PostmortemCall
from models.database import Database
from support.source_results import asked, packed

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
INCIDENTS = 7
PLAN = DocumentPlan(
    manifest=packed(asked(), []),
    template=Template("small", (SectionTemplate("Summary", ("model",), ""),)),
    incident_digest="d" * 64,
)
PAID = PaidReply(
    reply=Reply(
        text="## Summary\n\nBad.", stop_reason="end_turn", model="m", usage=Usage(1, 2),
        request_id=None, first_token_ms=None, latency_ms=0,
    ),
    cost_usd=Decimal("0.01"),
)  # fmt: skip


class Run:
    """One process with its journals."""

    def __init__(self, database: Database, owner: str, at: list[datetime]) -> None:
        self.calls = CallJournal(database, owner=owner, clock=lambda: at[0])
        self.batches = BatchJournal(database, self.calls, clock=lambda: at[0])

    async def claim(self, *incidents: int) -> list[ClaimedCall]:
        """Their calls, planned."""
        calls = [await self.calls.claim(incident) for incident in incidents]
        return [await self.calls.built(call, PLAN, Decimal("0.02")) for call in calls if call is not None]


MakeRun = Callable[[str], Run]


@pytest.fixture
def at() -> list[datetime]:
    return [NOW]


@pytest.fixture
async def run(database: Database, at: list[datetime], monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Processes on other machines, over a few incidents, with small pages and statements."""
    monkeypatch.setattr(batch_journal, "_PER_STATEMENT", 2)
    monkeypatch.setattr(batch_journal, "_PAGE", 2)
    async with database.write() as session:
        for number in range(1, INCIDENTS + 1):
            session.add(
                Incident(
                    id=number, public_id=f"inc_{number}", title="t", severity="high", status="resolved",
                    started_at=NOW - timedelta(hours=2), resolved_at=NOW - timedelta(hours=1),
                )
            )  # fmt: skip
    return lambda owner: Run(database, f"{owner}:1:1", at)


async def test_a_batch_is_open_until_everything_of_it_is_written(run: MakeRun, database: Database) -> None:
    """Its counts and worst cost follow its calls; it is closed only when none of them is left."""
    one = run("a")
    calls = await one.claim(1, 2, 3, 4, 5)
    batch_id = await one.batches.begin(calls, "m")
    (batch,) = await one.batches.open()
    assert (batch.api_id, batch.waiting, batch.replied) == (None, 5, 0)
    assert batch.worst_cost_usd == Decimal("0.10")
    await one.batches.accepted(batch_id, "msgbatch_1")
    await one.calls.replied(calls[1], PAID)
    (batch,) = await one.batches.open()
    assert (batch.api_id, batch.waiting, batch.replied) == ("msgbatch_1", 4, 1)
    assert batch.worst_cost_usd == Decimal("0.08")
    assert [call.custom_id async for call in one.batches.calls(batch_id)] == [
        call.custom_id for call in calls if call != calls[1]
    ]
    assert [call.reply async for call in one.batches.calls(batch_id, replied=True)] == [PAID]
    assert await one.batches.custom_ids(batch_id) == {call.custom_id for call in calls}
    some = [calls[number].custom_id for number in (0, 1, 2, 4)]
    worst = Decimal("0.02")
    released = await one.batches.release(batch_id, some)
    assert released == (("inc_1", worst), ("inc_3", worst), ("inc_5", worst))
    assert await one.batches.release(batch_id) == (("inc_4", worst),)
    assert not await one.batches.close(batch_id), "a reply that is stored is never released"
    async with database.write() as session:
        assert await one.calls.finish_in(session, calls[1])
    assert await one.batches.close(batch_id)
    assert await one.batches.open() == ()
    assert await one.batches.known(["msgbatch_1", "msgbatch_2", "msgbatch_3"]) == {"msgbatch_1"}


async def test_calls_of_a_batch_are_nobody_s_to_claim(run: MakeRun, at: list[datetime]) -> None:
    """Not even after the lease: they are being paid for. Released, they come back with plan and attempts."""
    one, two = run("a"), run("b")
    batch_id = await one.batches.begin(await one.claim(1, 2), "m")
    at[0] += 10 * LEASE
    assert await two.claim(1, 2) == []
    assert await two.batches.progress(["inc_1", "inc_3"]) == {"inc_1": (True, 1)}
    await one.batches.release(batch_id)
    calls = await two.claim(1, 2)
    assert [(call.attempts, call.plan, call.batch_id) for call in calls] == [(1, PLAN, None)] * 2
    names = [f"inc_{number}" for number in range(9)]
    assert await two.batches.progress(names) == {"inc_1": (False, 1), "inc_2": (False, 1)}


async def test_who_lost_a_call_submits_nothing(run: MakeRun, at: list[datetime]) -> None:
    """A process that slept past its lease is told before the batch is handed over; the batch is not kept."""
    one, two = run("a"), run("b")
    calls = await one.claim(1, 2, 3)
    at[0] += LEASE
    assert len(await two.claim(3)) == 1
    with pytest.raises(CallLost):
        await one.batches.begin(calls, "m")
    assert await one.batches.open() == ()
    assert len(await two.claim(1, 2)) == 2


async def test_a_batch_that_was_not_taken_is_no_attempt(run: MakeRun) -> None:
    """Its calls are the next run's, at once, and no batch is left; one that has a name stays as it is."""
    one, two = run("a"), run("b")
    await one.batches.dissolve(await one.batches.begin(await one.claim(1), "m"))
    assert await one.batches.open() == ()
    assert [call.attempts for call in await two.claim(1)] == [0]
    named = await one.batches.begin(await one.claim(2), "m")
    await one.batches.accepted(named, "msgbatch_1")
    await one.batches.dissolve(named)
    assert [batch.waiting for batch in await one.batches.open()] == [1]
    assert await two.claim(2) == []


async def test_what_is_given_back_is_free_and_keeps_its_attempts(run: MakeRun, database: Database) -> None:
    """What was never handed over leaves nothing behind; a batch, a reply and others' calls are left alone."""
    one, two = run("a"), run("b")
    failed, replied, waiting, fresh = await one.claim(1, 2, 3, 4)
    await one.batches.begin([waiting], "m")
    await one.batches.release(await one.batches.begin([failed], "m"))
    failed = (await one.claim(1))[0]
    await one.calls.replied(replied, PAID)
    (foreign,) = await two.claim(5)
    await one.batches.give_back([failed, replied, waiting, fresh, foreign])
    async with database.read() as session:
        left = {row.incident_id: row for row in await session.scalars(select(PostmortemCall))}
    assert sorted(left) == [1, 2, 3, 5]
    assert [call.attempts for call in await two.claim(1, 2, 3, 4, 5)] == [1, 0]


async def test_an_unnamed_batch_has_one_process_that_looks_after_it(
    run: MakeRun, at: list[datetime], database: Database
) -> None:
    """Its own while the lease holds; then, of many that want it, one."""
    one = run("a")
    batch_id = await one.batches.begin(await one.claim(1, 2, 3), "m")
    assert await one.batches.take_over(batch_id) is None
    assert await run("b").batches.take_over(batch_id) is False
    at[0] += LEASE
    taken = await asyncio.gather(*(run(f"p{n}").batches.take_over(batch_id) for n in range(6)))
    assert sorted(map(str, taken)) == ["False"] * 5 + ["True"]
    winner = run(f"p{taken.index(True)}")
    assert await winner.batches.take_over(batch_id) is None
    assert await one.batches.take_over(batch_id) is False
    async with database.read() as session:
        leases = set(await session.scalars(select(PostmortemCall.leased_until)))
    assert leases == {at[0] + LEASE}


async def test_a_reply_is_finished_by_one(run: MakeRun, at: list[datetime], database: Database) -> None:
    """By the process that holds it, or, once that has gone, by one other."""
    one = run("a")
    calls = await one.claim(1)
    await one.batches.begin(calls, "m")
    replied = await one.calls.replied(calls[0], PAID)
    assert replied is not None
    assert await one.batches.may_finish(replied)
    assert not await run("b").batches.may_finish(replied)
    at[0] += LEASE
    allowed = await asyncio.gather(*(run(f"p{n}").batches.may_finish(replied) for n in range(5)))
    assert sum(allowed) == 1
    assert not await one.batches.may_finish(replied)
    async with database.write() as session:
        assert await one.calls.finish_in(session, replied)
    assert not await one.batches.may_finish(replied)
    async with database.read() as session:
        assert (await session.scalars(select(PostmortemCall))).all() == [], "nothing is begun anew"


async def test_what_is_held_stays_held(
    run: MakeRun, at: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as the block runs no lease of the process runs out, and those of others are left alone."""
    monkeypatch.setattr(batch_journal, "LEASE", timedelta(milliseconds=30))
    one, two = run("a"), run("b")
    await one.claim(1)
    await two.claim(2)
    at[0] += LEASE
    async with one.batches.holding():
        await asyncio.sleep(0.2)
        assert await run("c").claim(1) == []
        assert len(await run("c").claim(2)) == 1
    at[0] += LEASE
    assert len(await run("c").claim(1)) == 1
