"""Stored postmortems: what people write stays, changes are noticed, every prompt can be rendered again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from context_builder.postmortems.candidates import Selection, candidates
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.postmortems.records import MAX_CHARACTERS, PostmortemRecords
from context_builder.postmortems.writer import NothingToDo
from context_builder.question.request import QuestionError
from models import Incident, Postmortem, Provenance, Question, ReviewStatus
from models.database import Database
from tests.loopback.behaviour import Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.gateway import HOUR, NOON, Gateway
from tests.support.one_incident import OURS, TEXT, MakeWriter, gateway_with_one_incident, stored, writer_of


@pytest.fixture
async def one(database: Database) -> Gateway:
    return await gateway_with_one_incident(database)


@pytest.fixture
def make_writer(one: Gateway) -> MakeWriter:
    return lambda model: writer_of(one.database, model)


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
    with pytest.raises(NothingToDo, match="a person wrote it"):
        await writer.write("inc_1", refresh_stale=True)
    (text,) = [each async for each in writer.records.all()]
    assert (text.markdown, text.is_stale) == (OURS, True)


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
    """Any sign that a person is responsible for a text protects it from runs."""
    writer = make_writer(None)
    await writer.write("inc_1")
    async with one.database.write() as session:
        await session.execute(update(Postmortem).values(incident_digest="0" * 64, **values))
    assert await writer.pending(Selection(refresh_stale=True)) == ()
    with pytest.raises(NothingToDo, match="a person wrote it"):
        await writer.write("inc_1", refresh_stale=True)


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
        ("a\x00b", r"contains the character U\+0000 at position 1"),
        ("\ud800", r"contains the character U\+D800"),
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
    """It is shown as stale, left alone by a plain run, and rewritten in place by one that refreshes."""
    writer = make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    assert not (await writer.write("inc_1")).is_stale
    await one.change(Incident, "inc_1", resolution="a new fuse")
    (text,) = [each async for each in writer.records.all()]
    assert text.is_stale
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
    await writer.release(call)
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
