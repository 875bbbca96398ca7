"""Stored postmortems: what people write stays, changes are told, and every prompt can be made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.claude import Claude
from context_builder.postmortems.candidates import Candidate, Selection, candidates
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.journal import Call, PaidReply
from context_builder.postmortems.records import MAX_CHARACTERS, PostmortemRecords
from context_builder.postmortems.spending import CapReached, Spending
from context_builder.postmortems.template import load_template
from context_builder.postmortems.writer import NotWanted, PostmortemFailed, PostmortemWriter
from context_builder.pricing import PriceList
from context_builder.question_log import QuestionLog
from context_builder.request import QuestionError
from context_builder.source import ContextSource
from context_builder.sources import discover
from gateway import HOUR, NOON, Gateway
from loopback.behaviour import BreakOff, Cut, Fail, Reply
from loopback.fixtures import MakeClaude
from loopback.messages_api import MessagesApi
from models import Incident, Postmortem, PostmortemCall, Provenance, Question, ReviewStatus
from models.database import Database
from no_memory import NO_MEMORY

PRICES = PriceList.load()
INCIDENTS: list[ContextSource] = [source for source in discover() if source.name in ("incidents", "volume")]
"""Enough to write from, and quickly read."""
TEXT = "\n\n".join(f"## {section.title}\n\nWords on it." for section in load_template("default").asked)
OURS = "# Ours\n\n## Root cause\n\nA cable was pulled [I1].\n\n## Resolution\n\nPlugged it in.\n"

MakeWriter = Callable[[Claude | None], PostmortemWriter]


@pytest.fixture
async def one(database: Database) -> Gateway:
    """A gateway with one resolved incident."""
    gateway = Gateway(database)
    await gateway.deployment("gpt-4/aws")
    await gateway.incident(
        "inc_1", resolved_at=NOON, deployment_id=gateway.deployments["gpt-4/aws"], root_cause="a fuse"
    )
    return gateway


@pytest.fixture
def make_writer(one: Gateway) -> MakeWriter:
    def make(model: Claude | None) -> PostmortemWriter:
        database = one.database
        builder = ContextBuilder(
            database, NO_MEMORY, INCIDENTS, default_budget=4_000, clock=lambda: NOON + HOUR
        )
        questions = QuestionLog(database)
        answerer = Answerer(builder, questions, PRICES, model, clock=lambda: NOON + HOUR)
        return PostmortemWriter(database, answerer, questions, clock=lambda: NOON + HOUR)

    return make


async def one_call_costs(gateway: Gateway) -> list[Decimal]:
    """What each logged call could have cost at the most, by the prices of the model that was asked for."""
    async with gateway.database.read() as session:
        bounds = await session.scalars(select(Question.token_bound))
        return [PRICES.worst_case("claude-sonnet-5-5", bound, 500) for bound in bounds]


async def stored(gateway: Gateway) -> Postmortem:
    async with gateway.database.read() as session:
        return (await session.scalars(select(Postmortem))).one()


async def test_what_a_person_wrote_is_never_replaced(one: Gateway, make_writer: MakeWriter) -> None:
    """An edit makes the text human and a draft; no run, not even one that refreshes, touches it again."""
    writer = make_writer(None)
    await writer.write("inc_1")
    edited = await writer.records.edit("inc_1", OURS.replace("\n", "\r\n"))
    assert (edited.markdown, edited.provenance, edited.status) == (OURS, Provenance.HUMAN, ReviewStatus.DRAFT)
    row = await stored(one)
    assert (row.root_cause, row.resolution) == ("A cable was pulled.", "Plugged it in.")
    assert row.edited_at is not None
    await one.change(Incident, "inc_1", root_cause="another fuse")
    assert await writer.pending(Selection(refresh_stale=True)) == ()
    with pytest.raises(NotWanted, match="a person has written it"):
        await writer.write("inc_1", refresh_stale=True)
    (told,) = await writer.written()
    assert (told.markdown, told.is_stale) == (OURS, True)


@pytest.mark.parametrize(
    "values",
    [
        {"status": ReviewStatus.APPROVED},
        {"status": ReviewStatus.REJECTED},
        {"provenance": Provenance.IMPORT},
        {"edited_at": NOON},
    ],
)
async def test_decided_and_imported_texts_stay_as_well(
    one: Gateway, make_writer: MakeWriter, values: dict[str, object]
) -> None:
    """Whatever says that a person stands behind it keeps a run away."""
    writer = make_writer(None)
    await writer.write("inc_1")
    async with one.database.write() as session:
        await session.execute(update(Postmortem).values(incident_digest="0" * 64, **values))
    assert await writer.pending(Selection(refresh_stale=True)) == ()


async def test_an_approval_ends_with_an_edit_and_an_edit_of_nothing_is_none(
    one: Gateway, make_writer: MakeWriter
) -> None:
    """Who approved another text did not approve this one; the same text again changes nothing."""
    writer = make_writer(None)
    text = await writer.write("inc_1")
    same = await writer.records.edit("inc_1", text.markdown + "\n\n")
    assert (same.provenance, same.edited_at) == (Provenance.CODE, None)
    async with one.database.write() as session:
        await session.execute(
            update(Postmortem).values(status=ReviewStatus.APPROVED, reviewed_at=NOON, reviewed_by="kim")
        )
    after = await writer.records.edit("inc_1", OURS)
    assert (after.status, after.reviewed_by, after.reviewed_at) == (ReviewStatus.DRAFT, None, None)


async def test_a_person_may_write_the_first_text(one: Gateway) -> None:
    """Without any run before it."""
    records = PostmortemRecords(one.database)
    assert await records.get("inc_1") is None
    await records.edit("inc_1", OURS)
    assert (await stored(one)).provenance == Provenance.HUMAN
    assert await records.evidence("inc_1") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" \n", "the text is empty"),
        ("x" * (MAX_CHARACTERS + 1), "at most 200,000 are accepted"),
        ("a\x00b", r"holds the character U\+0000 at position 1"),
        ("\ud800", r"holds the character U\+D800"),
    ],
)
async def test_a_text_that_cannot_be_stored_is_refused(one: Gateway, text: str, said: str) -> None:
    """Law 10, and nothing is written."""
    records = PostmortemRecords(one.database)
    with pytest.raises(QuestionError, match=said):
        await records.edit("inc_1", text)
    with pytest.raises(QuestionError, match="'inc_9' is not known"):
        await records.edit("inc_9", OURS)
    await one.incident("inc_2")
    with pytest.raises(QuestionError, match="still active"):
        await records.edit("inc_2", OURS)
    assert await records.get("inc_1") is None


async def test_a_changed_incident_makes_its_text_stale(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """It is told, left alone by a plain run, and written anew in place by one that refreshes."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    assert not (await writer.write("inc_1")).is_stale
    await one.change(Incident, "inc_1", resolution="a new fuse")
    (told,) = await writer.written()
    assert told.is_stale
    assert await writer.pending() == ()
    assert await make_writer(None).pending(Selection(refresh_stale=True)) == (), "no model, no better text"
    assert await writer.pending(Selection(refresh_stale=True)) == ("inc_1",)
    fresh = await writer.write("inc_1", refresh_stale=True)
    assert not fresh.is_stale
    assert "a new fuse" in fresh.markdown
    assert await writer.pending(Selection(refresh_stale=True)) == ()
    async with one.database.read() as session:
        incident = (await session.scalars(select(Incident))).one()
    assert (await stored(one)).incident_digest == incident_digest(incident)


async def test_a_change_between_prompt_and_reply_is_seen(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """The text is that of the incident as the prompt had it, so it is stale from the beginning."""
    writer = make_writer(await make_claude())
    call = await writer.build(await writer.claim("inc_1"))
    await one.change(Incident, "inc_1", resolution="a new fuse")
    messages_api.always(Reply(text=TEXT))
    await writer.give_back(call)
    call = await writer.build(await writer.claim("inc_1"))
    await one.change(Incident, "inc_1", title="Another title")
    assert (await make_writer(None).finish(call)).is_stale


async def test_the_prompt_is_made_again_byte_for_byte(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 6: the stored manifest renders to what was sent; one that was touched is found out."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    await writer.write("inc_1")
    (sent,) = messages_api.messages
    found = await writer.records.evidence("inc_1")
    assert found is not None
    assert found.is_identical
    blocks = [*sent.body["system"], *sent.body["messages"][0]["content"]]
    assert found.prompt.whole == "".join(block["text"] for block in blocks)
    assert (found.model, found.cost_usd > 0) == ("claude-sonnet-5-5", True)
    async with one.database.write() as session:
        question = (await session.scalars(select(Question))).one()
        question.manifest = question.manifest | {"question": "another one?"}
    again = await writer.records.evidence("inc_1")
    assert again is not None
    assert not again.is_identical


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
    """A refusal costs nothing; what was reported before a break is in the sum and in the question log."""
    writer = make_writer(await make_claude(max_retries=0))
    messages_api.script(behaviour)
    spending = Spending(Decimal(1))
    with pytest.raises(PostmortemFailed):
        await writer.write("inc_1", spending=spending)
    async with one.database.read() as session:
        logged = (await session.scalars(select(Question.cost_usd))).all()
        assert (await session.scalars(select(PostmortemCall))).all() == []
    assert spending.reserved == 0
    assert sum(logged) == spending.spent
    assert (spending.spent > 0) == (counted == "reported")
    assert await writer.pending() == ("inc_1",)


async def test_a_call_that_does_not_fit_is_not_made(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Neither where its output alone is too dear, nor where its prompt is; the incident is free again."""
    writer = make_writer(await make_claude())
    for cap in (Decimal(0), writer.least_worst_case):
        with pytest.raises(CapReached, match="of the cap are left"):
            await writer.write("inc_1", spending=Spending(cap))
    assert messages_api.messages == []
    messages_api.always(Reply(text=TEXT))
    await writer.write("inc_1", spending=Spending(Decimal(1)))


async def test_a_model_of_another_name_costs_what_was_asked_for(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """A name that the price list does not know cannot break a cap."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT, model="proxied/claude", usage={"output_tokens": 500}))
    spending = Spending()
    text = await writer.write("inc_1", spending=spending)
    (sent,) = messages_api.messages
    assert text.model == "proxied/claude"
    assert sent.body["max_tokens"] == 500
    (row,) = await one_call_costs(one)
    assert text.cost_usd == spending.spent.quantize(Decimal("1e-9")) <= row


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
    monkeypatch.setattr("context_builder.postmortems.writer._TRIED_AGAIN_S", (0.0, 0.0))
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    real, tries, storing = writer.journal.replied, 0, asyncio.Event()

    async def replied(call: Call, reply: PaidReply) -> Call | None:
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
        spending = Spending()
        call = await writer._replied(call, None, spending)
        await writer.give_back(call)
        if edited:
            await writer.records.edit("inc_1", OURS)
        other = make_writer(None)
        found = [each async for each in candidates(one.database, selection, has_model=False)]
        assert found == [Candidate("inc_1", is_paid=True)]
        if edited:
            with pytest.raises(NotWanted, match="a person has changed it meanwhile"):
                await other.write("inc_1", spending=Spending(Decimal(0)))
            assert (await stored(one)).markdown == OURS
        else:
            assert (await other.write("inc_1", spending=Spending(Decimal(0)))).cost_usd == spending.spent
    async with one.database.read() as session:
        assert len((await session.scalars(select(Question))).all()) == len(messages_api.messages) == 2
        assert (await session.scalars(select(PostmortemCall))).all() == []


async def test_forgotten_and_reopened_incidents_are_let_go(
    one: Gateway, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Nothing is written of them, also when that happens while the model writes."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    call = await writer._replied(await writer.claim("inc_1"), None, Spending())
    await one.change(Incident, "inc_1", forgotten_at=NOON)
    with pytest.raises(PostmortemFailed, match="not resolved any more"):
        await writer.finish(call)
    assert await writer.pending() == ()
    with pytest.raises(QuestionError, match="was forgotten"):
        await writer.pending(Selection(incidents=["inc_1"]))
    with pytest.raises(PostmortemFailed, match="is not resolved"):
        await writer.write("inc_1")


async def test_candidates_are_read_by_pages(one: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, oldest first, also where many began at the same moment."""
    monkeypatch.setattr("context_builder.postmortems.candidates._PAGE", 3)
    monkeypatch.setattr("context_builder.postmortems.records._PAGE", 3)
    started = [NOON - timedelta(days=2 + number // 5) for number in range(11)]
    for number, moment in enumerate(started):
        await one.incident(f"inc_x{number:02}", started_at=moment, resolved_at=NOON)
    found = [each.incident async for each in candidates(one.database, Selection(), has_model=True)]
    assert found == [*(f"inc_x{number:02}" for number in (10, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4)), "inc_1"]
    records = PostmortemRecords(one.database)
    for each in found:
        await records.edit(each, OURS)
    assert [text.incident async for text in records.all()] == found
    since = [text async for text in records.all(since=NOON + HOUR)]
    assert since == []
