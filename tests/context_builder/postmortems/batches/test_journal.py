"""The journal of batches: nothing is submitted twice, and what waits for results is nobody's to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from context_builder.jobs.lease import LEASE, Lease, LeaseLost
from context_builder.llm.chat_model import Reply
from context_builder.llm.usage import Usage
from context_builder.postmortems import journal as call_journal
from context_builder.postmortems.batches import journal as batch_journal
from context_builder.postmortems.batches.journal import BatchConflict, BatchJournal, OpenBatch
from context_builder.postmortems.journal import CallJournal, ClaimedCall, DocumentPlan, PaidReply
from context_builder.postmortems.template import SectionTemplate, Template
from models import Incident, PostmortemBatch, PostmortemCall
from models.database import Database
from tests.support.source_results import asked, packed

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
INCIDENTS = 7
WORST = Decimal("0.02")
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


class Process:
    """One process with its journals."""

    def __init__(self, database: Database, owner: str, at: list[datetime]) -> None:
        self.calls = CallJournal(database, Lease(owner=owner, clock=lambda: at[0]))
        self.batches = BatchJournal(database, self.calls)

    async def claim(self, *incidents: int) -> list[ClaimedCall]:
        """Their calls, built."""
        calls = [await self.calls.claim(incident) for incident in incidents]
        return [await self.calls.built(call, PLAN, WORST) for call in calls if call is not None]

    async def begin(self, *incidents: int) -> int:
        """A batch of them that is being submitted."""
        return await self.batches.begin(await self.claim(*incidents), "m")

    async def open(self) -> OpenBatch:
        """The only open batch."""
        (batch,) = await self.batches.open()
        return batch


MakeProcess = Callable[[str], Process]


@pytest.fixture
def at() -> list[datetime]:
    return [NOW]


@pytest.fixture
async def process(database: Database, at: list[datetime], monkeypatch: pytest.MonkeyPatch) -> MakeProcess:
    """Processes on other machines, over a few incidents, with small pages and statements."""
    monkeypatch.setattr(call_journal, "MAX_IDS_PER_STATEMENT", 2)
    monkeypatch.setattr(batch_journal, "_PAGE", 2)
    async with database.write() as session:
        for number in range(1, INCIDENTS + 1):
            session.add(
                Incident(
                    id=number, public_id=f"inc_{number}", title="t", severity="high", status="resolved",
                    started_at=NOW - timedelta(hours=2), resolved_at=NOW - timedelta(hours=1),
                )
            )  # fmt: skip
    return lambda owner: Process(database, f"{owner}:1:1.00", at)


async def test_a_batch_is_open_until_everything_of_it_is_written(
    process: MakeProcess, database: Database
) -> None:
    """Its counts and worst cost follow its calls; it ends only when none of them is left."""
    one = process("a")
    calls = await one.claim(1, 2, 3, 4, 5)
    batch_id = await one.batches.begin(calls, "m")
    batch = await one.open()
    assert (batch.api_id, batch.waiting, batch.worst_cost_usd) == (None, 5, 5 * WORST)
    await one.batches.submitted(batch_id, "msgbatch_1")
    for call in calls[1:4]:
        await one.calls.replied(call, PAID)
    batch = await one.open()
    assert (batch.api_id, batch.waiting, batch.worst_cost_usd) == ("msgbatch_1", 2, 2 * WORST)
    replied = [each async for each in one.batches.replied_calls(batch_id)]
    assert [(incident, call.reply) for incident, call in replied] == [
        (f"inc_{number}", PAID) for number in (2, 3, 4)
    ]
    found = await one.batches.call(batch_id, calls[0].custom_id)
    assert found is not None
    assert found.incident_id == 1
    assert await one.batches.call(batch_id, "pm_other") is None
    assert await one.batches.release(batch_id, [calls[0].custom_id, calls[1].custom_id]) == (
        ("inc_1", calls[0].custom_id),
    )
    assert await one.batches.release(batch_id) == (("inc_5", calls[4].custom_id),)
    assert not await one.batches.end(batch_id), "a stored reply is never released"
    async with database.write() as session:
        for call in calls[1:4]:
            assert await one.calls.finish_in(session, call)
    assert await one.batches.end(batch_id)
    assert await one.batches.open() == ()


async def test_calls_of_a_batch_are_nobody_s_to_claim(process: MakeProcess, at: list[datetime]) -> None:
    """Not even after the lease: they are being paid for. Released, they can be claimed at once."""
    one, two = process("a"), process("b")
    batch_id = await one.begin(1, 2)
    at[0] += 10 * LEASE
    assert await two.claim(1, 2) == []
    assert await two.calls.is_in_batch(1)
    await one.batches.release(batch_id)
    assert [call.batch_id for call in await two.claim(1, 2)] == [None, None]


async def test_the_loser_of_a_lease_submits_nothing(process: MakeProcess, at: list[datetime]) -> None:
    """A process that slept past its lease learns it before the submission; the batch is not stored."""
    one, two = process("a"), process("b")
    calls = await one.claim(1, 2, 3)
    at[0] += LEASE
    assert len(await two.claim(3)) == 1
    with pytest.raises(LeaseLost):
        await one.batches.begin(calls, "m")
    assert await one.batches.open() == ()
    assert len(await two.claim(1, 2)) == 2


async def test_a_refused_batch_leaves_nothing_behind(process: MakeProcess, database: Database) -> None:
    """It is no attempt, and its calls are free; those of earlier batches keep their attempts."""
    one = process("a")
    first = await one.begin(1)
    await one.batches.release(first)
    assert await one.batches.end(first)
    await one.batches.discard(await one.begin(1, 2))
    assert await one.batches.open() == ()
    async with database.read() as session:
        left = (await session.scalars(select(PostmortemCall))).all()
    assert [(call.incident_id, call.attempts, call.batch_id) for call in left] == [(1, 1, None)]
    assert len(await process("b").claim(1, 2)) == 2


async def test_released_calls_keep_what_they_are_counted_for(
    process: MakeProcess, database: Database
) -> None:
    """One that was never in a batch leaves nothing behind; calls in a batch and of others are left alone."""
    one, two = process("a"), process("b")
    failed, replied, waiting, fresh = await one.claim(1, 2, 3, 4)
    await one.batches.begin([waiting], "m")
    await one.batches.release(await one.batches.begin([failed], "m"))
    failed = (await one.claim(1))[0]
    await one.calls.replied(replied, PAID)
    (foreign,) = await two.claim(5)
    await one.calls.release(failed, replied, waiting, fresh, foreign)
    async with database.read() as session:
        left = {row.incident_id: row.attempts for row in await session.scalars(select(PostmortemCall))}
    assert left == {1: 1, 2: 0, 3: 1, 5: 0}
    third = await process("c").claim(1, 2, 3, 4, 5)
    assert [(call.incident_id, call.reply) for call in third] == [(1, None), (2, PAID), (4, None)]


async def test_an_interrupted_batch_waits_for_a_person(process: MakeProcess, at: list[datetime]) -> None:
    """While its process may live nobody can settle it; then it is adopted once, or discarded once."""
    one, two = process("a"), process("b")
    first = await one.begin(1, 2, 3)
    assert not (await two.open()).is_interrupted
    for settle in (two.batches.adopt(first, "msgbatch_1", prompts=3), two.batches.discard_interrupted(first)):
        with pytest.raises(BatchConflict, match="another run is submitting batch 1"):
            await settle
    at[0] += LEASE
    assert (await two.open()).is_interrupted
    with pytest.raises(BatchConflict, match="msgbatch_1 has 2 prompts, batch 1 has 3"):
        await two.batches.adopt(first, "msgbatch_1", prompts=2)
    await two.batches.adopt(first, "msgbatch_1", prompts=3)
    assert (await two.open()).api_id == "msgbatch_1"
    with pytest.raises(BatchConflict, match="was submitted as msgbatch_1"):
        await two.batches.discard_interrupted(first)

    second = await one.begin(4)
    await one.batches.interrupted(second)
    with pytest.raises(BatchConflict, match="the id of another batch"):
        await two.batches.adopt(second, "msgbatch_1", prompts=1)
    assert len(await two.batches.discard_interrupted(second)) == 1
    with pytest.raises(BatchConflict, match="there is no batch 2"):
        await two.batches.discard_interrupted(second)
    assert len(await two.claim(4)) == 1


async def test_a_wrong_adoption_is_undone(process: MakeProcess) -> None:
    """The batch is interrupted again, unless another run has collected it meanwhile."""
    one = process("a")
    calls = await one.claim(1)
    batch_id = await one.batches.begin(calls, "m")
    await one.batches.submitted(batch_id, "msgbatch_1")
    assert await one.batches.disown(batch_id)
    assert (await one.open()).is_interrupted
    await one.batches.adopt(batch_id, "msgbatch_2", prompts=1)
    await one.calls.replied(calls[0], PAID)
    assert not await one.batches.disown(batch_id)
    assert (await one.open()).api_id == "msgbatch_2"


async def test_a_batch_that_0_1_0_submitted_is_as_good_as_any(
    process: MakeProcess, database: Database, at: list[datetime]
) -> None:
    """It keeps its API id; one without an id is interrupted once the lease of its process has expired."""
    one = process("a")
    named, unnamed = await one.begin(1), await one.begin(2)
    await one.batches.submitted(named, "msgbatch_1")
    async with database.write() as session:
        await session.execute(update(PostmortemCall).values(owner="host/4026531836:17:123456"))
    assert [(each.api_id, each.is_interrupted) for each in await one.batches.open()] == [
        ("msgbatch_1", False),
        (None, False),
    ]
    at[0] += LEASE
    assert [each.is_interrupted for each in await one.batches.open()] == [False, True]
    async with database.read() as session:
        assert set(await session.scalars(select(PostmortemBatch.id))) == {named, unnamed}


async def test_a_reply_is_finished_by_one(
    process: MakeProcess, at: list[datetime], database: Database
) -> None:
    """By the process that owns it or, once that is gone, by one other."""
    one = process("a")
    calls = await one.claim(1)
    await one.batches.begin(calls, "m")
    replied = await one.calls.replied(calls[0], PAID)
    assert replied is not None
    assert await one.batches.claim_reply(replied)
    assert not await process("b").batches.claim_reply(replied)
    at[0] += LEASE
    allowed = await asyncio.gather(*(process(f"p{n}").batches.claim_reply(replied) for n in range(5)))
    assert sum(allowed) == 1
    assert not await one.batches.claim_reply(replied)
    async with database.write() as session:
        assert await one.calls.finish_in(session, replied)
    assert not await one.batches.claim_reply(replied)
    async with database.read() as session:
        assert (await session.scalars(select(PostmortemCall))).all() == [], "nothing is started over"
