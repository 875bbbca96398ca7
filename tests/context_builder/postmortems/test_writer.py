"""A postmortem is written once, stored with what it cost, and never half."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.llm.claude import Claude
from context_builder.llm.pricing import PriceList
from context_builder.postmortems.candidates import Selection
from context_builder.postmortems.template import load_template
from context_builder.postmortems.writer import NothingToDo, PostmortemFailed, PostmortemWriter
from context_builder.question.request import QuestionError
from context_builder.sources import discover
from models import Incident, IncidentStatus, Postmortem, Question
from models.database import Database
from tests.loopback.behaviour import Fail, Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.no_memory import NO_MEMORY
from tests.support.paid import paid
from tests.support.prepared_databases import STORY_ANCHOR

SOURCES = discover()
PRICES = PriceList.load()
TEMPLATE = load_template("default")
HEADINGS = [section.title for section in TEMPLATE.sections]
TEXT = "\n\n".join(f"## {section.title}\n\nWords on it." for section in TEMPLATE.asked)

MakeWriter = Callable[[Claude | None], PostmortemWriter]


@pytest.fixture
def make_writer(story: Database) -> MakeWriter:
    def make(model: Claude | None) -> PostmortemWriter:
        builder = ContextBuilder(story, NO_MEMORY, SOURCES, default_budget=8000, clock=lambda: STORY_ANCHOR)
        questions = QuestionLog(story)
        answerer = Answerer(builder, questions, paid(story, model), clock=lambda: STORY_ANCHOR)
        return PostmortemWriter(story, answerer, questions, clock=lambda: STORY_ANCHOR)

    return make


async def resolved(database: Database) -> list[str]:
    async with database.read() as session:
        statement = select(Incident.public_id).where(Incident.status == IncidentStatus.RESOLVED)
        return list(await session.scalars(statement.order_by(Incident.started_at)))


async def count(database: Database, table: type[Postmortem | Question]) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_every_resolved_incident_is_written_once(
    story: Database, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Pending shrinks to nothing; a second run makes no call."""
    writer = make_writer(await make_claude())
    messages_api.script(*[Reply(text=TEXT)] * 3)
    pending = await writer.pending()
    assert list(pending) == await resolved(story)
    for public_id in pending[:3]:
        await writer.write(public_id)
    assert await writer.pending() == pending[3:]
    assert (
        len(messages_api.journal.requests) == await count(story, Postmortem) == await count(story, Question)
    )
    assert [text.incident async for text in writer.records.all()] == list(pending[:3])


async def test_the_document_has_every_section_and_the_incident_s_own_time(
    story: Database, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """What the model leaves out is added by code: evidence, blind spots; the window is the incident's."""
    writer = make_writer(await make_claude())
    messages_api.script(Reply(text=TEXT))
    (public_id,) = (await writer.pending())[-1:]
    written = await writer.write(public_id)
    for heading in HEADINGS:
        assert f"## {heading}" in written.markdown
    async with story.read() as session:
        incident = await session.scalar(select(Incident).where(Incident.public_id == public_id))
        question = await session.scalar(select(Question))
    assert incident is not None
    assert question is not None
    assert question.as_of == incident.resolved_at
    assert incident.root_cause is not None
    (sent,) = messages_api.journal.requests
    assert incident.root_cause[:40] in str(sent.body["messages"])


async def test_without_a_model_records_alone_fill_the_sections(
    story: Database, make_writer: MakeWriter, messages_api: MessagesApi
) -> None:
    """The document says that no model wrote it, holds cause and fix, and gives way to a model's later."""
    writer = make_writer(None)
    (public_id,) = (await writer.pending())[-1:]
    written = await writer.write(public_id)
    assert written.model is None
    for heading in HEADINGS:
        assert f"## {heading}" in written.markdown
    assert "no model" in written.markdown
    assert public_id not in await writer.pending()
    assert messages_api.journal.requests == []
    assert await count(story, Postmortem) == 1


async def test_a_model_s_postmortem_replaces_the_one_by_nobody(
    story: Database, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """As soon as there is a model the drafts without one are pending again, and are replaced, not doubled."""
    (public_id,) = (await make_writer(None).pending())[-1:]
    await make_writer(None).write(public_id)
    writer = make_writer(await make_claude())
    messages_api.script(Reply(text=TEXT))
    assert public_id in await writer.pending()
    assert (await writer.write(public_id)).model is not None
    assert public_id not in await writer.pending()
    assert await count(story, Postmortem) == 1


@pytest.mark.parametrize("behaviour", [Fail(status=529), Reply(text="half", stop_reason="max_tokens")])
async def test_a_model_that_fails_leaves_nothing_behind(
    story: Database,
    make_writer: MakeWriter,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    behaviour: Fail | Reply,
) -> None:
    """No half postmortem is stored; the incident stays pending."""
    writer = make_writer(await make_claude(max_retries=0))
    messages_api.script(behaviour)
    (public_id,) = (await writer.pending())[-1:]
    with pytest.raises(PostmortemFailed):
        await writer.write(public_id)
    assert await count(story, Postmortem) == 0
    assert public_id in await writer.pending()


async def test_of_two_runs_at_once_one_pays(
    story: Database, make_writer: MakeWriter, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """The other has nothing to do, whether it comes during the call or after it."""
    writer, other = make_writer(await make_claude()), make_writer(await make_claude())
    messages_api.always(Reply(text=TEXT))
    (public_id,) = (await writer.pending())[-1:]
    results = await asyncio.gather(writer.write(public_id), other.write(public_id), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NothingToDo", "StoredPostmortem"]
    with pytest.raises(NothingToDo):
        await other.write(public_id)
    assert len(messages_api.messages) == await count(story, Question) == await count(story, Postmortem) == 1


async def test_unknown_and_active_incidents_are_refused_by_name(
    story: Database, make_writer: MakeWriter
) -> None:
    """Law 10."""
    writer = make_writer(None)
    with pytest.raises(QuestionError, match="'inc_none' is not known"):
        await writer.pending(Selection(incidents=["inc_none"]))
    async with story.read() as session:
        active = await session.scalar(
            select(Incident.public_id).where(Incident.status == IncidentStatus.ACTIVE)
        )
    with pytest.raises(QuestionError, match="still active"):
        await writer.pending(Selection(incidents=[str(active)]))


async def test_since_limits_the_choice(story: Database, make_writer: MakeWriter) -> None:
    """Only incidents resolved from then on are pending."""
    async with story.read() as session:
        newest = await session.scalar(select(func.max(Incident.resolved_at)))
    assert len(await make_writer(None).pending(Selection(since=newest))) == 1
