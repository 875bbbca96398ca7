"""Law 4: one call per question; its reply is checked and recorded, and a failed call gives a brief."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from context_builder.answer.answer import Answer, ClaimIssue
from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.llm.chat_model import Delta
from context_builder.llm.claude import Claude
from context_builder.llm.pricing import PriceList
from context_builder.prompt.render import render
from context_builder.question.request import NotUsed, QuestionError, QuestionInput
from context_builder.spend.caps import set_cap
from models import AccountKind, Question
from models.database import Database
from tests.loopback.behaviour import Cut, Fail, Hang, Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.no_memory import NO_MEMORY
from tests.support.paid import paid, spent_and_reserved
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES
from tests.support.prepared_databases import STORY_ANCHOR

PRICES = PriceList.load()
ASK = QuestionInput(question="Which deployments are unhealthy?")


MakeAnswerer = Callable[[Claude | None], Answerer]


@pytest.fixture
def make_answerer(story: Database) -> MakeAnswerer:
    def make(model: Claude | None) -> Answerer:
        builder = ContextBuilder(
            story,
            NO_MEMORY,
            SOURCES,
            default_budget=4000,
            clock=lambda: STORY_ANCHOR,
        )
        return Answerer(builder, QuestionLog(story), paid(story, model), clock=lambda: STORY_ANCHOR)

    return make


async def logged(database: Database) -> list[Question]:
    async with database.read() as session:
        return list(await session.scalars(select(Question).order_by(Question.id)))


async def test_one_question_is_one_request_without_tools(
    make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 4: exactly one request, streamed, no tools, no sampling parameters, facts and question in it."""
    answer = await make_answerer(await make_claude()).answer(ASK)
    (sent,) = messages_api.journal.requests
    assert sent.body["stream"] is True
    assert not {"tools", "temperature", "top_p", "top_k"} & sent.body.keys()
    assert ASK.question in str(sent.body["messages"])
    assert answer.model is not None
    assert answer.no_model_reason is None
    assert answer.citations
    assert answer.unsupported == ()


async def test_the_log_holds_what_replays_and_what_it_cost(
    story: Database, make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Laws 1 and 6: bound and billed tokens stand side by side, and the manifest replays the prompt."""
    messages_api.script(
        Reply(usage={"input_tokens": 700, "cache_read_input_tokens": 300, "output_tokens": 50})
    )
    answer = await make_answerer(await make_claude()).answer(ASK)
    (row,) = await logged(story)
    manifest = await QuestionLog(story).manifest(answer.id)
    (sent,) = messages_api.journal.requests
    assert manifest is not None
    (message,) = sent.body["messages"]
    assert render(manifest).message == "".join(block["text"] for block in message["content"])
    assert (row.token_bound, row.input_tokens, row.output_tokens) == (answer.manifest.token_bound, 1000, 50)
    assert row.cost_usd == answer.cost_usd == (700 * 2 + 300 * Decimal("0.2") + 50 * 10) / Decimal(1_000_000)
    assert row.answer == answer.text


async def test_the_stream_is_context_then_text_then_answer(
    make_answerer: MakeAnswerer, make_claude: MakeClaude
) -> None:
    """The pieces of the stream add up to the text of the answer."""
    events = [event async for event in make_answerer(await make_claude()).stream(ASK)]
    assert isinstance(events[0], BuiltContext)
    assert isinstance(events[-1], Answer)
    pieces = [event.text for event in events[1:-1] if isinstance(event, Delta)]
    assert len(pieces) == len(events) - 2
    assert "".join(pieces) == events[-1].text


async def test_an_unsupported_claim_is_marked(
    make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 5: invented references, numbers and names are unsupported claims; the text is unchanged."""
    text = "llama-70b/neocloud is DOWN [H1]. It lost 987,654 requests [H1]. gpt-9/moon failed too [H99]."
    messages_api.script(Reply(text=text))
    answer = await make_answerer(await make_claude()).answer(ASK)
    assert answer.text == text
    assert {(claim.doubt, claim.detail) for claim in answer.unsupported} == {
        (ClaimIssue.NUMBER_NOT_IN_FACTS, "987,654"),
        (ClaimIssue.UNKNOWN_REFERENCE, "H99"),
        (ClaimIssue.UNKNOWN_NAME, "gpt-9/moon"),
    }
    assert [citation.ref for citation in answer.citations] == ["H1"]


class HalfUnderstood(ContextBuilder):
    """Builds contexts of questions of which a part was not used."""

    async def build(self, ask: QuestionInput) -> BuiltContext:
        built = await super().build(ask)
        not_used = (NotUsed("except 987,654 of them", "no such number"),)
        return replace(built, manifest=replace(built.manifest, not_used=not_used))


@pytest.mark.parametrize("with_model", [True, False])
async def test_what_was_not_used_stands_below_every_answer(
    story: Database, make_claude: MakeClaude, messages_api: MessagesApi, with_model: bool
) -> None:
    """Law 11: in the stream and in the log alike, whatever the model wrote; those lines are not checked."""
    messages_api.script(Reply(text="llama-70b/neocloud is DOWN [H1]."))
    builder = HalfUnderstood(story, NO_MEMORY, SOURCES, default_budget=4000, clock=lambda: STORY_ANCHOR)
    model = await make_claude() if with_model else None
    answerer = Answerer(builder, QuestionLog(story), paid(story, model), clock=lambda: STORY_ANCHOR)
    events = [event async for event in answerer.stream(ASK)]
    answer = events[-1]
    assert isinstance(answer, Answer)
    last = "Not used of the question: “except 987,654 of them” (no such number)."
    assert answer.text.endswith(f"\n\n{last}")
    assert answer.text.count(last) == 1
    assert answer.unsupported == ()
    assert "not used of the question: “except 987,654 of them”" in answer.confidence.reasons
    assert (await logged(story))[0].answer == answer.text
    if with_model:
        assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.text


@pytest.mark.parametrize("stop_reason", ["refusal", "max_tokens"])
async def test_an_incomplete_answer_has_its_stop_reason(
    make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi, stop_reason: str
) -> None:
    """A stop reason other than end_turn is passed on unchanged."""
    messages_api.script(Reply(text="I cannot", stop_reason=stop_reason))
    answer = await make_answerer(await make_claude()).answer(ASK)
    assert (answer.stop_reason, answer.text) == (stop_reason, "I cannot")


@pytest.mark.parametrize(
    ("behaviour", "says", "notice"),
    [
        (Fail(status=401), "ARCPOINT_ANTHROPIC_API_KEY", "No model was called: "),
        (Fail(status=529), "overloaded", "No model was called: "),
        (Cut(after_pieces=2), "", "The model returned no complete answer: "),
    ],
)
async def test_when_the_model_fails_the_facts_still_answer(
    story: Database,
    make_answerer: MakeAnswerer,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    behaviour: Any,
    says: str,
    notice: str,
) -> None:
    """Law 2: an outage of the API gives a grounded brief with the reason, which is logged."""
    messages_api.script(behaviour)
    answer = await make_answerer(await make_claude(max_retries=0)).answer(ASK)
    assert answer.model is None
    assert says in (answer.no_model_reason or "")
    assert notice in answer.text
    assert answer.text.startswith("llama-70b/neocloud (fra-2) is DOWN")
    assert answer.citations
    assert (await logged(story))[0].no_model_reason == answer.no_model_reason


async def test_without_a_model_nothing_is_sent(
    make_answerer: MakeAnswerer, messages_api: MessagesApi
) -> None:
    """Without a key there is no call: the answer is the brief and costs nothing."""
    answer = await make_answerer(None).answer(ASK)
    assert answer.model is None
    assert answer.cost_usd == 0
    assert messages_api.journal.requests == []


async def test_a_failed_source_is_named_in_the_answer(make_answerer: MakeAnswerer) -> None:
    """Law 2: the answer names the source that could not be read, with its status."""
    answer = await make_answerer(None).answer(ASK)
    assert "Could not be read: recall (error: memory is down for this test) [M0]." in answer.text


async def test_leaving_early_ends_the_call(
    make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Closing the stream closes the connection to the API."""
    messages_api.script(Hang(seconds=30, after_pieces=1))
    async with aclosing(make_answerer(await make_claude(deadline_s=60)).stream(ASK)) as events:
        await first_delta(events)
    async with asyncio.timeout(PATIENCE_S):
        while messages_api.journal.open_streams:  # noqa: ASYNC110  the server runs in another thread
            await asyncio.sleep(0.01)
    assert messages_api.journal.disconnects == 1


async def first_delta(events: AsyncIterator[object]) -> None:
    async for event in events:
        if isinstance(event, Delta):
            return


async def test_an_unusable_question_reaches_neither_model_nor_log(
    story: Database, make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 10: an invalid question raises before anything is sent or stored."""
    with pytest.raises(QuestionError, match="empty"):
        await make_answerer(await make_claude()).answer(QuestionInput(question="  "))
    assert messages_api.journal.requests == []
    assert await logged(story) == []


MANY = 6


async def test_many_questions_at_once_are_as_many_calls(
    story: Database, make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 4: concurrent questions make one call each and get their own answers."""
    answerer = make_answerer(await make_claude(deadline_s=60))
    asks = [
        QuestionInput(question=f"Which deployments are unhealthy? Ticket number {number}")
        for number in range(MANY)
    ]
    answers = await asyncio.gather(*(answerer.answer(ask) for ask in asks))
    assert [answer.question for answer in answers] == [ask.question for ask in asks]
    assert len(messages_api.journal.requests) == MANY
    assert len(await logged(story)) == MANY
    assert all(answer.model for answer in answers)


ACME = replace(ASK, asked_by="user_acme")


@pytest.mark.both_databases
async def test_a_question_over_its_cap_gets_the_facts_and_says_which_cap(
    story: Database, make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Law 4: of many at once as many are sent as fit; the others get the context, and what is left."""
    answerer = make_answerer(await make_claude())
    assert answerer.model is not None
    worst = answerer.model.worst_case((await answerer.builder.build(ACME)).manifest.token_bound)
    await set_cap(story, AccountKind.USER, "user_acme", worst, "UTC")
    messages_api.always(Reply(text="llama-70b/neocloud is DOWN [H1].", usage={"output_tokens": 500}))
    answers = await asyncio.gather(*(answerer.answer(ACME) for _ in range(4)))
    written = [answer for answer in answers if answer.model is not None]
    assert len(messages_api.messages) == len(written) == 1
    assert await spent_and_reserved(story, AccountKind.USER) == (sum(a.cost_usd for a in written), 0)
    late = await answerer.answer(ACME)
    assert late.cost_usd == 0
    assert late.no_model_reason is not None
    assert re.match(
        r"user user_acme has \$0\.0\d+ left of \$0\.0\d+ for 2\d+-\d\d-\d\d \(UTC\)", late.no_model_reason
    )
    assert f"No model was called: {late.no_model_reason}" in late.text
    assert "llama-70b/neocloud (fra-2) is DOWN" in late.text


@pytest.mark.parametrize(
    ("behaviour", "counts"),
    [
        (Fail(status=529), "nothing"),
        (Reply(text="llama-70b/neocloud is DOWN [H1]."), "what it used"),
        (Cut(after_pieces=2, reply=Reply(text="llama-70b/neocloud is DOWN [H1].")), "at most all output"),
    ],
)
async def test_what_a_call_used_takes_the_place_of_its_reservation(
    story: Database,
    make_answerer: MakeAnswerer,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    behaviour: Any,
    counts: str,
) -> None:
    """A refused call is free; one that broke off counts with all the output that it may have had."""
    answerer = make_answerer(await make_claude(max_retries=0))
    messages_api.script(behaviour)
    answer = await answerer.answer(ACME)
    spent, reserved = await spent_and_reserved(story)
    assert reserved == 0
    assert (spent > 0) == (counts != "nothing")
    assert spent > answer.cost_usd if counts == "at most all output" else spent == answer.cost_usd


async def test_what_a_client_leaves_counts_in_full(
    story: Database, make_answerer: MakeAnswerer, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """Nobody knows what was billed of a reply that nobody waited for."""
    answerer = make_answerer(await make_claude())
    messages_api.script(Reply(text="llama-70b/neocloud is DOWN [H1]. " * 50))
    async with aclosing(answerer.stream(ACME)) as events:
        async for event in events:
            if isinstance(event, BuiltContext):
                bound = event.manifest.token_bound
                assert await spent_and_reserved(story) == (0, 0), "the prompt is not known yet"
            if isinstance(event, Delta):
                break
    assert answerer.model is not None
    assert await spent_and_reserved(story) == (answerer.model.worst_case(bound), 0)


async def test_nothing_is_sent_where_nothing_can_be_reserved(
    story: Database,
    make_answerer: MakeAnswerer,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
) -> None:
    """A ledger that cannot be written costs the model's words, not the context."""
    async with story.write() as session:
        await session.execute(text("DROP TABLE spend_reservations"))
    answer = await make_answerer(await make_claude()).answer(ACME)
    assert messages_api.messages == []
    assert "its cost could not be reserved: " in str(answer.no_model_reason)
    assert "llama-70b/neocloud (fra-2) is DOWN" in answer.text
