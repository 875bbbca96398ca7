"""Law 1: the bound learns from what prompts were billed, and never trusts a few cheap ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.llm.pricing import PriceList
from context_builder.prompt import calibration
from context_builder.prompt.calibration import (
    MARGIN,
    MAX_SAMPLES,
    MIN_SAMPLES,
    BilledPrompt,
    Calibration,
    load_samples,
    recalibrated_factor,
)
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.packing import prompt_bound
from context_builder.prompt.render import render
from context_builder.prompt.tokens import MAX_FACTOR, MIN_FACTOR, RULE, TokenBound
from context_builder.question.request import QuestionInput
from models import Question
from models.database import Database
from tests.loopback.behaviour import Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.no_memory import NO_MEMORY
from tests.support.paid import paid
from tests.support.patient_sources import SOURCES
from tests.support.prepared_databases import STORY_ANCHOR

PRICES = PriceList.load()
MODEL = "claude-sonnet-5-5"
OWN = TokenBound.for_model(MODEL)
TERMS = {"rule": RULE, "whole_words": OWN.whole_words, "factor": 1.3, "words": 500.0}

SAMPLES = st.builds(
    BilledPrompt,
    bound=st.integers(1_000, 9_000),
    billed=st.integers(1, 12_000),
    factor=st.floats(MIN_FACTOR, MAX_FACTOR),
    words=st.floats(0, 3_000),
)


def sample(billed: int, bound: int = 2_000, *, factor: float = 1.3, words: float = 500.0) -> BilledPrompt:
    return BilledPrompt(bound, billed, factor, words)


def cheap(many: int) -> list[BilledPrompt]:
    """Different prompts, each billed about nine tenths of its bound."""
    return [sample(1_780 - n) for n in range(many)]


FACTORS = st.integers(round(MIN_FACTOR * 100), round(MAX_FACTOR * 100)).map(lambda steps: steps / 100)
"""A factor is a multiple of 1/100."""


@pytest.mark.long
@given(st.lists(SAMPLES, max_size=60), FACTORS, st.randoms())
def test_the_calibrated_bound_exceeds_every_sample(
    samples: list[BilledPrompt], start: float, chance: Any
) -> None:
    """Law 1: the calibrated factor bounds every sample with a margin, if any factor can."""
    factor = recalibrated_factor(samples, start)
    assert MIN_FACTOR <= factor <= MAX_FACTOR
    for one in samples:
        rebound = one.bound + (factor - one.factor) * one.words
        assert rebound >= one.billed * (1 + MARGIN) or factor == MAX_FACTOR
    assert recalibrated_factor(chance.sample(samples, len(samples)), start) == factor
    if len(samples) < MIN_SAMPLES:
        assert factor >= start


def test_many_different_cheap_prompts_lower_the_factor() -> None:
    """Twenty distinct samples do; nineteen, or one sample repeated, do not."""
    assert recalibrated_factor(cheap(MIN_SAMPLES - 1), 1.3) == 1.3
    assert recalibrated_factor(cheap(1) * 100, 1.3) == 1.3
    # 1,780 and five per cent, and two for rounding: 129 below 2,000, at 500 per unit of the factor.
    assert recalibrated_factor(cheap(MIN_SAMPLES), 1.3) == pytest.approx(1.05)


def test_one_expensive_prompt_raises_the_factor() -> None:
    """A single count above its bound outweighs every cheap one, at once."""
    assert recalibrated_factor([sample(2_010)], 1.3) == pytest.approx(1.53)
    assert recalibrated_factor([*cheap(100), sample(2_010)], 1.3) == pytest.approx(1.53)
    assert recalibrated_factor([sample(5_000)], 1.3) == MAX_FACTOR
    assert recalibrated_factor([sample(2_010, words=0.0)], 1.3) == MAX_FACTOR


def test_without_samples_the_factor_is_unchanged() -> None:
    """Without samples the model keeps its own factor."""
    assert recalibrated_factor([], 1.3) == 1.3


async def log_question(database: Database, number: int, billed: int | None, **changes: Any) -> None:
    """One row of the question log; later numbers were asked later."""
    row: dict[str, Any] = {
        "public_id": f"ans_{number}",
        "asked_at": STORY_ANCHOR + timedelta(minutes=number),
        "question": "What is down?",
        "as_of": STORY_ANCHOR,
        "manifest": {"question": "What is down?", "bound_terms": TERMS},
        "answer": "Nothing.",
        "model": MODEL,
        "token_budget": 8_000,
        "token_bound": 2_000,
        "input_tokens": billed,
        "cost_usd": Decimal(0),
        "build_ms": 1,
        "latency_ms": 1,
    }
    async with database.write() as session:
        session.add(Question(**row | changes))


async def test_samples_are_those_of_the_model_newest_first(database: Database) -> None:
    """Dated ids of the model count too; other models, unbilled calls and other counting rules do not."""
    await log_question(database, 1, 1_501)
    await log_question(database, 2, 1_502, model=f"{MODEL}-20260901")
    await log_question(database, 3, 1_503, model=f"{MODEL}-mini")
    await log_question(database, 4, 1_504, model="claude-opus-5-5")
    await log_question(database, 5, None)
    await log_question(database, 6, 0)
    await log_question(database, 7, 1_507, model=None)
    unreadable: list[Any] = [
        None, [], "x", {}, {**TERMS, "rule": RULE - 1}, {**TERMS, "whole_words": True},
        {**TERMS, "factor": 0}, {**TERMS, "words": -1}, {**TERMS, "words": "many"}, {**TERMS, "factor": None},
    ]  # fmt: skip
    for number, terms in enumerate(unreadable, 10):
        await log_question(database, number, 9_000, manifest={"bound_terms": terms})
    await log_question(database, 50, 9_000, manifest={"question": "of an older version"})
    assert await load_samples(database, MODEL, OWN) == (sample(1_502), sample(1_501))


async def test_only_the_newest_samples_count(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old expensive prompts are ignored, and the search of a long log is limited."""
    monkeypatch.setattr(calibration, "MAX_SAMPLES", 3)
    monkeypatch.setattr(calibration, "_MAX_SEARCHED", 5)
    for number in range(7):
        await log_question(database, number, 1_500 + number)
    assert [one.billed for one in await load_samples(database, MODEL, OWN)] == [1_506, 1_505, 1_504]
    for number in range(7, 11):
        await log_question(database, number, 1_500 + number, model="claude-opus-5-5")
    assert [one.billed for one in await load_samples(database, MODEL, OWN)] == [1_506]
    assert MAX_SAMPLES >= 10 * MIN_SAMPLES


async def test_a_start_learns_from_the_log(database: Database) -> None:
    """Enough cheap prompts lower the bound of the next process, of this model alone."""
    for number in range(MIN_SAMPLES):
        await log_question(database, number, 1_780 - number)
    learnt, other, none = Calibration(MODEL), Calibration("claude-haiku-5-5"), Calibration()
    for one in (learnt, other, none):
        await one.load(database)
    assert learnt.bound == OWN.with_factor(1.05)
    assert other.bound == OWN
    assert none.bound == TokenBound()


async def test_a_log_that_cannot_be_read_fails_no_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the log is broken, missing or slow, the model keeps its initial factor."""
    learnt = Calibration(MODEL)
    missing = Database("sqlite:////nowhere/at/all.db")
    await learnt.load(missing)
    await missing.close()

    async def hang(*_: object) -> tuple[BilledPrompt, ...]:
        await asyncio.sleep(60)
        raise AssertionError("was not stopped")

    monkeypatch.setattr(calibration, "_DEADLINE_S", 0.05)
    monkeypatch.setattr(calibration, "load_samples", hang)
    await learnt.load(database)
    assert learnt.bound == OWN


def answerer(database: Database, claude: Any, learning: Calibration) -> Answerer:
    builder = ContextBuilder(
        database,
        NO_MEMORY,
        SOURCES,
        default_budget=4_000,
        calibration=learning,
        clock=lambda: STORY_ANCHOR,
    )
    return Answerer(builder, QuestionLog(database), paid(database, claude), clock=lambda: STORY_ANCHOR)


async def test_an_overrun_raises_the_next_bound(
    story: Database, make_claude: MakeClaude, messages_api: MessagesApi
) -> None:
    """The bound of the next question, and of the next process, covers the tokens of the last one."""
    learning = Calibration(MODEL)
    asked = answerer(story, await make_claude(), learning)
    messages_api.script(Reply(usage={"input_tokens": 3_700, "cache_read_input_tokens": 400}, model=MODEL))
    first = await asked.answer(QuestionInput(question="Which deployments are unhealthy?"))
    assert first.manifest.token_bound < 4_100
    raised = learning.bound
    assert OWN.factor < raised.factor <= MAX_FACTOR
    assert prompt_bound(first.manifest, raised) > first.manifest.token_bound
    second = await asked.answer(QuestionInput(question="Which deployments are unhealthy?"))
    assert second.manifest.token_bound <= 4_000
    assert second.manifest.bound_terms is not None
    assert second.manifest.bound_terms.factor == raised.factor
    restarted = Calibration(MODEL)
    await restarted.load(story)
    assert restarted.bound == raised


async def test_a_replay_does_not_depend_on_the_calibration(story: Database) -> None:
    """Law 6: a stored manifest gives the same bytes, however the bound has changed since."""
    learning = Calibration(MODEL)
    built = await answerer(story, None, learning).builder.build(QuestionInput(question="What is down?"))
    stored = Manifest.from_json(built.manifest.to_json())
    learning.learn(built.manifest, built.manifest.token_bound + 1)
    assert learning.bound.factor > OWN.factor
    assert stored == built.manifest
    assert render(stored) == built.prompt


async def test_the_recorded_terms_predict_the_bound_with_another_factor(story: Database) -> None:
    """For a real prompt, the bound derived from its terms equals the bound counted again."""
    built = await answerer(story, None, Calibration(MODEL)).builder.build(
        QuestionInput(question="What is down?")
    )
    terms = built.manifest.bound_terms
    assert terms is not None
    for factor in (1.0, 1.17, 2.0):
        told = built.manifest.token_bound + (factor - terms.factor) * terms.words
        assert prompt_bound(built.manifest, OWN.with_factor(factor)) == pytest.approx(told, abs=2.01)


async def test_a_bill_below_the_bound_changes_nothing(story: Database) -> None:
    """Within a process the bound only rises; a manifest without terms has no effect."""
    learning = Calibration(MODEL)
    built = await answerer(story, None, learning).builder.build(QuestionInput(question="What is down?"))
    learning.learn(built.manifest, 100)
    learning.learn(replace(built.manifest, bound_terms=None), 9_000)
    assert learning.bound == OWN
