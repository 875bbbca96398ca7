"""A question that is confined to one user shows nothing of another, in anything that is sent or stored."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.question.request import NOBODY, ContextRequest, QuestionError, QuestionInput, ScopeNames
from context_builder.source import ContextSource, Section, Shown, Stores
from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models import AccountKind, Question, Request, SpendCap, User, UserAction, UserSpend
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.gateway import NOON, SOURCES, Gateway
from tests.support.paid import paid
from tests.support.patience import PATIENCE_S
from tests.support.private_users import (
    CANARY,
    OTHER_REQUEST,
    OTHERS,
    OWN,
    OWN_NAME,
    QUESTIONS,
    private_gateway,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def builder(
    gateway: Gateway, shared_index: ChromaIndex, tmp_path: Path
) -> AsyncIterator[ContextBuilder]:
    """Of the private gateway, where all questions share one tick."""
    await private_gateway(gateway, tmp_path)
    memory = IncidentMemory(gateway.database, HashingEmbedder(), shared_index, deadline_s=PATIENCE_S)
    await memory.sync()
    builder = ContextBuilder(
        gateway.database,
        memory,
        [replace(source, deadline_s=PATIENCE_S) for source in SOURCES],
        default_budget=60_000,
        runbooks=gateway.runbooks,
        clock=lambda: NOON,
    )
    async with builder.shared_ticks(PATIENCE_S):
        yield builder


def asked(question: str, user: str | None = OWN, **given: Any) -> QuestionInput:
    return QuestionInput(question=question, confined_to=user, **given)


def canaries(text: str, question: str = "") -> set[str]:
    """What tells of others, but for words that the question itself has."""
    return {found for found in CANARY.findall(text) if found.casefold() not in question.casefold()}


async def test_nothing_of_other_users_is_sent_answered_or_stored(
    builder: ContextBuilder,
    gateway: Gateway,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
) -> None:
    """Of no question, hostile ones included, even right after one that sees all users, in the same tick."""
    model = await make_claude(deadline_s=PATIENCE_S)
    answerer = Answerer(
        builder, QuestionLog(gateway.database), paid(gateway.database, model), clock=lambda: NOON
    )
    control, own = "", ""
    for question in QUESTIONS:
        control += str((await builder.build(asked(question, user=None))).manifest)
        messages_api.reset()
        events = [str(event) async for event in answerer.stream(asked(question))]
        [sent] = messages_api.journal.requests
        for text in (json.dumps(sent.body, ensure_ascii=False), *events):
            assert canaries(text, question) == set(), question
        own += events[-1]
    async with gateway.database.read() as session:
        log = await session.scalars(select(Question).where(Question.asker == OWN))
        rows = log.all()
    assert len(rows) == len(QUESTIONS)
    for row in rows:
        assert canaries(f"{row.answer} {json.dumps(row.manifest)}", row.question) == set()
    # The control does tell, of every kind, and what may be seen is there.
    assert {found.casefold() for found in CANARY.findall(control)} >= {
        "zq7", "zebulon", "quark", "xanthe", "user_second", "7,913", "64.31",
    }  # fmt: skip
    for seen in (
        OWN_NAME,
        "meadow_quota",
        "meadow.export",
        "$50.00",
        "inc_plain",
        "a node was lost",
        "a slow disk",
    ):
        assert seen in own, seen


async def test_what_names_another_user_is_counted_not_hidden(builder: ContextBuilder) -> None:
    """Facts that people wrote and that name others are withheld, and the source says how many."""
    built = await builder.build(asked("What is wrong with llama-70b/gcp?"))
    gaps = {source.name: " ".join(source.gaps) for source in built.manifest.sources}
    for name in ("incidents", "health", "states", "recall", "requests", "activity", "schedule"):
        assert "name other users, withheld" in gaps[name], name
    assert "only their own requests and budget and the state" in built.prompt.user


ORACLES = (
    "what did {user} spend today?",
    "is user {bare} over budget, and is {upper} slow?",
    "compare {user} with user_meadow since yesterday",
    "everything but {user} today",
    "show {request} please",
    "users like {prefix}, {name}",
)


def _names(user: str, name: str, request: str) -> dict[str, str]:
    bare = user.removeprefix("user_")
    known = {"user": user, "bare": bare, "upper": user.upper(), "name": name, "request": request}
    return known | {"prefix": user[:-1]}


REAL = _names("user_zq7", OTHERS["user_zq7"], OTHER_REQUEST)
INVENTED = _names("user_qz7", "Zefulon Quork", "req_qz7_3")


async def _outcome(builder: ContextBuilder, ask: QuestionInput, names: dict[str, str]) -> str:
    """The prompt and manifest, or the error, without the names in it and what is measured."""
    try:
        built = await builder.build(ask)
    except QuestionError as error:
        text = str(error)
    else:
        manifest = replace(
            built.manifest, build_ms=0, age_ms=0, prompt_sha256="", token_bound=0, bound_terms=None
        )
        sources = tuple(replace(source, milliseconds=0) for source in manifest.sources)
        text = f"{built.prompt.user}\n{json.dumps(replace(manifest, sources=sources).to_json())}"
    for kind, name in sorted(names.items(), key=lambda item: -len(item[1])):
        text = text.replace(name, f"<{kind}>")
    return re.sub("f0[0-9a-f]{10}", "<fence>", text)


async def test_a_users_name_is_unknown_like_any_other(builder: ContextBuilder) -> None:
    """Asking about a user who exists, by id, prefix, name or request, is told as little as about nobody."""
    asks = [(form, ScopeNames()) for form in ORACLES]
    asks += [
        ("What is wrong?", ScopeNames(users=("{user}",))),
        ("What is wrong?", ScopeNames(users=("{prefix}",))),
    ]
    for form, scope in asks:
        outcomes = []
        for names in (REAL, INVENTED):
            users = tuple(user.format(**names) for user in scope.users)
            ask = asked(form.format(**names), scope=replace(scope, users=users))
            outcomes.append(await _outcome(builder, ask, names))
        assert outcomes[0] == outcomes[1], form
    for names in (REAL, INVENTED):
        with pytest.raises(QuestionError, match="cannot ask as another"):
            await builder.build(asked("What is wrong?", asked_by=names["user"]))
    with pytest.raises(QuestionError, match="user 'user_zq' is not known, so nothing") as unknown:
        await builder.build(asked("What is wrong?", user="user_zq"))
    assert canaries(str(unknown.value), "user_zq") == set()


async def test_a_deployment_named_after_a_user_is_not_suggested(
    builder: ContextBuilder, gateway: Gateway
) -> None:
    """Neither among the facts and labels, nor as a name spelled alike, nor in an error."""
    await gateway.deployment("llama-70b/zebulon-quark")
    builder.expire()
    built = await builder.build(asked("Is llama-70b healthy, and llama-70b/zebulon-qwerk?"))
    assert canaries(built.prompt.user, "zebulon") == set()
    with pytest.raises(QuestionError) as error:
        await builder.build(asked("What is wrong?", scope=ScopeNames(deployments=("llama-70b/zebulon-q",))))
    assert canaries(str(error.value), "zebulon") == set()


async def _prompts(builder: ContextBuilder, user: str) -> list[str]:
    builder.expire()
    # What a question names itself is in its prompt.
    asks = [asked(question, user=user) for question in QUESTIONS[::2] if not canaries(question)]
    return [(await builder.build(ask)).prompt.whole for ask in asks]


async def test_what_other_users_are_called_and_pay_changes_no_byte(
    builder: ContextBuilder, gateway: Gateway
) -> None:
    """A prompt of one user is the same whatever the others' names, budgets, costs, actions and texts are."""
    before, of_other = await _prompts(builder, OWN), await _prompts(builder, "user_second")
    number, _ = gateway.users["user_zq7"]
    private: Sequence[tuple[type[Any], dict[str, Any]]] = (
        (UserSpend, {"cost_usd": Decimal("3.21"), "requests": 77}),
        (UserAction, {"action": "other.action", "detail": "other detail"}),
        (
            Request,
            {"cost_usd": Decimal("9.87"), "endpoint": "/other", "task_type": "other", "prompt_tokens": 99},
        ),
    )
    async with gateway.database.write() as session:
        for table, values in private:
            await session.execute(update(table).where(table.user_id == number).values(**values))
        await session.execute(update(User).where(User.id == number).values(role="other", daily_budget_usd=1))
    after = await _prompts(builder, OWN)
    assert after == before
    assert set(before).isdisjoint(of_other)


async def test_users_share_no_section_in_one_tick(builder: ContextBuilder) -> None:
    """In any order of askers, each gets what they get alone: own figures, or none for nobody."""
    question = "How much did I spend today, and what is wrong?"
    askers = (None, OWN, "user_second", NOBODY)
    alone = {}
    for user in askers:
        builder.expire()
        alone[user] = (await builder.build(asked(question, user=user))).prompt
    assert len({prompt.user for prompt in alone.values()}) == len(askers)
    builder.expire()
    for user in (*askers, *reversed(askers)):
        assert (await builder.build(asked(question, user=user))).prompt == alone[user]
    assert canaries(alone[NOBODY].whole) == set()
    assert "meadow" not in alone[NOBODY].whole.casefold()
    assert OWN not in alone["user_second"].whole


async def test_a_cap_tells_no_figure_of_all_users(
    builder: ContextBuilder, gateway: Gateway, make_claude: MakeClaude
) -> None:
    """What the installation may spend is not a user's business; what they may spend themself is."""
    model = paid(gateway.database, await make_claude())
    answerer = Answerer(builder, QuestionLog(gateway.database), model, clock=lambda: NOON)
    said = {}
    for kind, subject in ((AccountKind.INSTALLATION, ""), (AccountKind.USER, OWN)):
        cap = SpendCap(kind=kind, subject=subject, limit_usd=0, time_zone="UTC", changed_at=NOON)
        await gateway.add(cap)
        said[kind] = (await answerer.answer(asked("What is wrong?"))).no_model_reason or ""
        async with gateway.database.write() as session:
            await session.delete(cap)
    assert said[AccountKind.INSTALLATION] == "no more may be spent on questions for now"
    assert f"user {OWN} has $0.00 left" in said[AccountKind.USER]


async def test_an_error_of_a_source_is_not_quoted(builder: ContextBuilder) -> None:
    """A failure may quote any row; it is named without its words, and the other sources are shown."""

    async def fail(_request: ContextRequest, _stores: Stores) -> Section:
        raise RuntimeError("duplicate key: the customer of 64 thousand calls")

    failing = ContextSource("failing", "X", SOURCES[0].topics, PATIENCE_S, fail, shows_to_confined=Shown.OWN)
    builder.sources = (failing, *builder.sources)
    built = await builder.build(asked("What is wrong?"))
    assert "[X0] failing (error): it could not be read" in built.prompt.user
    assert "customer" not in json.dumps(built.manifest.to_json())


async def test_the_names_cannot_be_read_so_nothing_is_shown(
    builder: ContextBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate fails closed: without it there is no prompt."""

    async def fail(_session: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr("context_builder.builder.load_names", fail)
    with pytest.raises(OSError, match="gone"):
        await builder.build(asked("What is wrong?"))
