"""What calls cost is counted, and a reply that has arrived is used, whatever happens around it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from context_builder.postmortems.candidates import PostmortemCandidate, Selection, candidates
from context_builder.postmortems.journal import ClaimedCall, PaidReply
from context_builder.postmortems.writer import ANYBODY, NothingToDo, PostmortemFailed
from context_builder.question.request import QuestionError
from context_builder.spend.ledger import CapReached
from models import Incident, PostmortemCall, Question
from models.database import Database
from tests.loopback.behaviour import BreakOff, Cut, Fail, Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.gateway import HOUR, NOON, Gateway
from tests.support.one_incident import (
    OURS,
    TEXT,
    MakeWriter,
    gateway_with_one_incident,
    stored,
    writer_of,
)
from tests.support.paid import PRICES, run_with, spent_and_reserved


@pytest.fixture
async def one(database: Database) -> Gateway:
    return await gateway_with_one_incident(database)


@pytest.fixture
def make_writer(one: Gateway) -> MakeWriter:
    return lambda model: writer_of(one.database, model)


async def one_call_costs(gateway: Gateway) -> list[Decimal]:
    """What each logged call could have cost at the most, by the prices of the model that was asked for."""
    async with gateway.database.read() as session:
        bounds = await session.scalars(select(Question.token_bound))
        return [PRICES.worst_case("claude-sonnet-5-5", bound, 500) for bound in bounds]


@pytest.mark.parametrize(
    ("behaviour", "counted"),
    [
        (Fail(status=529), "nothing"),
        (Fail(status=401), "nothing"),
        (BreakOff(after_pieces=2, reply=Reply(text=TEXT)), "reported"),
        (Cut(after_pieces=3, reply=Reply(text=TEXT)), "reported"),
        (Reply(text=TEXT, stop_reason="max_tokens"), "reported"),
    ],
)
async def test_what_a_failed_call_cost_is_counted_and_logged(
    one: Gateway,
    make_writer: MakeWriter,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    behaviour: Fail | BreakOff | Cut | Reply,
    counted: str,
) -> None:
    """A refusal costs nothing; what was reported before a break is logged, and counts with all its output."""
    writer = make_writer(await make_claude(max_retries=0))
    messages_api.script(behaviour)
    with pytest.raises(PostmortemFailed):
        await writer.write("inc_1", payer=run_with(1))
    async with one.database.read() as session:
        logged = (await session.scalars(select(Question.cost_usd))).all()
        assert (await session.scalars(select(PostmortemCall))).all() == []
    spent, reserved = await spent_and_reserved(one.database)
    assert reserved == 0
    worst = await one_call_costs(one)
    whole = isinstance(behaviour, Reply)
    assert (sum(logged) > 0) == (counted == "reported")
    assert sum(logged) == spent if whole or not logged else sum(logged) < spent
    assert spent <= sum(worst)
    assert await writer.pending() == ("inc_1",)


async def test_a_call_that_does_not_fit_is_not_made(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Neither where its output alone is too dear, nor where its prompt is; the incident is free again."""
    writer = make_writer(await make_claude())
    for cap in (Decimal(0), writer.min_worst_cost_usd):
        with pytest.raises(CapReached, match="this run has"):
            await writer.write("inc_1", payer=run_with(cap))
    assert messages_api.messages == []
    messages_api.always(Reply(text=TEXT))
    await writer.write("inc_1", payer=run_with(1))


async def test_a_model_of_another_name_costs_what_was_asked_for(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """A name that the price list does not know cannot break a cap."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT, model="proxied/claude", usage={"output_tokens": 500}))
    text = await writer.write("inc_1")
    (sent,) = messages_api.messages
    assert text.model == "proxied/claude"
    assert sent.body["max_tokens"] == 500
    (row,) = await one_call_costs(one)
    assert text.cost_usd == (await spent_and_reserved(one.database))[0] <= row


@pytest.mark.parametrize("trouble", ["away for a moment", "stopped"])
async def test_a_reply_that_has_arrived_is_stored(
    one: Gateway,
    make_writer: MakeWriter,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    """Also when the database fails twice just then, or when the run is stopped just then."""
    monkeypatch.setattr("context_builder.postmortems.writer._RETRY_DELAYS_S", (0.0, 0.0))
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    real, tries, storing = writer.journal.replied, 0, asyncio.Event()

    async def replied(call: ClaimedCall, reply: PaidReply) -> ClaimedCall | None:
        nonlocal tries
        tries += 1
        if trouble == "away for a moment" and tries <= 2:
            raise OperationalError("UPDATE", {}, Exception("the server closed the connection"))
        storing.set()
        await asyncio.sleep(0.05)
        return await real(call, reply)

    monkeypatch.setattr(writer.journal, "replied", replied)
    writing = asyncio.create_task(writer.write("inc_1"))
    await storing.wait()
    if trouble == "stopped":
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await make_writer(None).write("inc_1")
    else:
        await writing
    assert len(messages_api.messages) == 1
    assert (await stored(one)).model == "claude-sonnet-5-5"


async def test_a_reply_that_is_there_costs_nothing_more_and_is_put_away(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """A run without money, without a model even, finishes it; if a person was faster it is logged only."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    for edited in (False, True):
        selection = Selection(refresh_stale=True)
        await one.change(Incident, "inc_1", symptoms=f"smoke {edited}")
        call = await writer.claim("inc_1", refresh_stale=True)
        before, _ = await spent_and_reserved(one.database)
        call = await writer._replied(call, None, ANYBODY)
        paid, _ = await spent_and_reserved(one.database)
        await writer.release(call)
        if edited:
            await writer.records.edit("inc_1", OURS)
        other = make_writer(None)
        found = [each async for each in candidates(one.database, selection, has_model=False)]
        assert found == [PostmortemCandidate(incident="inc_1", is_paid=True)]
        if edited:
            with pytest.raises(NothingToDo, match="a person has changed it meanwhile"):
                await other.write("inc_1", payer=run_with(0))
            assert (await stored(one)).markdown == OURS
        else:
            assert (await other.write("inc_1", payer=run_with(0))).cost_usd == paid - before
    async with one.database.read() as session:
        assert len((await session.scalars(select(Question))).all()) == len(messages_api.messages) == 2
        assert (await session.scalars(select(PostmortemCall))).all() == []


async def test_a_plan_of_another_version_does_not_cost_the_reply(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """What cannot be read any more is built again; the reply is used all the same."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    call = await writer._replied(await writer.claim("inc_1"), None, ANYBODY)
    await writer.release(call)
    async with one.database.write() as session:
        await session.execute(update(PostmortemCall).values(manifest={"of": "the future"}))
    assert (await writer.write("inc_1", payer=run_with(0))).model == "claude-sonnet-5-5"
    assert len(messages_api.messages) == 1


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), NOON + 2 * HOUR])
async def test_impossible_times_fail_their_incident_only(
    one: Gateway, make_writer: MakeWriter, moment: datetime
) -> None:
    """An incident that began with the calendar, or ends in the future, is refused with a reason."""
    times = {"started_at": moment} if moment < NOON else {"resolved_at": moment}
    await one.change(Incident, "inc_1", **times)
    with pytest.raises(QuestionError, match=r"is too early|is in the future"):
        await make_writer(None).write("inc_1")


async def test_forgotten_and_reopened_incidents_are_let_go(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Nothing is written of them, also when that happens while the model writes."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    call = await writer._replied(await writer.claim("inc_1"), None, ANYBODY)
    await one.change(Incident, "inc_1", forgotten_at=NOON)
    with pytest.raises(PostmortemFailed, match="not resolved any more"):
        await writer.finish(call)
    assert await writer.pending() == ()
    with pytest.raises(QuestionError, match="was forgotten"):
        await writer.pending(Selection(incidents=["inc_1"]))
    with pytest.raises(PostmortemFailed, match="is not resolved"):
        await writer.write("inc_1")
