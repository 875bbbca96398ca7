"""The state of the gateway is there before it is asked for, and never too old."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from api.proxy.rewriting.gateway_states import (
    FOR_ALL,
    GENERAL,
    IDLE_S,
    MAX_AGE_S,
    GatewayStates,
    question_in,
)
from api.proxy.rewriting.in_time import InTime
from context_builder.builder import ContextBuilder
from context_builder.question.request import ContextRequest
from context_builder.source import ContextSource, Section, Stores
from models.database import Database
from tests.support.gateway import NOON
from tests.support.no_memory import NO_MEMORY
from tests.support.patience import PATIENCE_S
from tests.support.patient_sources import SOURCES


class CountedReads:
    """A source that says how often it was read."""

    def __init__(self) -> None:
        health = next(source for source in SOURCES if source.name == "health")
        self.count = 0
        self.again = asyncio.Event()
        self.source: ContextSource = replace(health, read=self._read)

    async def _read(self, _request: ContextRequest, _stores: Stores) -> Section:
        self.count += 1
        if self.count > 1:
            self.again.set()
        return Section(f"read {self.count} times")


@pytest.fixture
def reads() -> CountedReads:
    return CountedReads()


@pytest.fixture
def states(database: Database, reads: CountedReads) -> GatewayStates:
    builder = ContextBuilder(database, NO_MEMORY, [reads.source], default_budget=4_000, clock=lambda: NOON)
    return GatewayStates(builder, InTime(0.0), refresh_s=0.01, start_s=PATIENCE_S)


def until() -> float:
    return asyncio.get_running_loop().time() + PATIENCE_S


async def test_a_state_is_read_once_while_it_is_fresh(states: GatewayStates, reads: CountedReads) -> None:
    """However many ask at once, and until it is too old."""
    now = states.clock()
    states.clock = lambda: now
    found = await asyncio.gather(*(states.state(None, GENERAL, until()) for _ in range(20)))
    assert (len(set(map(id, found))), reads.count) == (1, 1)
    states.clock = lambda: now + MAX_AGE_S - 1
    await states.state(None, GENERAL, until())
    assert reads.count == 1
    states.clock = lambda: now + MAX_AGE_S + 1
    await states.state(None, GENERAL, until())
    assert reads.count == 2


async def test_what_is_asked_for_is_refreshed_and_what_is_not_is_dropped(
    states: GatewayStates, reads: CountedReads
) -> None:
    """But for what all may be told, which is ready for a conversation that begins after a quiet night."""
    await states.state("user_a", GENERAL, until())
    async with states.refreshed():
        async with asyncio.timeout(PATIENCE_S):
            await reads.again.wait()
        now = states.clock()
        states.clock = lambda: now + IDLE_S + MAX_AGE_S
        async with asyncio.timeout(PATIENCE_S):
            while states._kept.keys() != {FOR_ALL}:  # noqa: ASYNC110  nothing says that something was dropped
                await asyncio.sleep(0.01)


async def test_a_question_that_recurs_is_read_ahead(states: GatewayStates, reads: CountedReads) -> None:
    """One that was asked once is not: most turns ask something new."""
    for question in ("Is the gateway down?", "Is the router slow?", "Is the gateway down?"):
        await states.state(None, question, until())
    assert reads.count == 2
    async with states.refreshed(), asyncio.timeout(PATIENCE_S):
        while reads.count < 6:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    kept = {question: entry for (_, question), entry in states._kept.items()}
    once, twice = kept["Is the router slow?"], kept["Is the gateway down?"]
    assert (once.recurs, twice.recurs, twice.read_at > once.read_at) == (False, True, True)


async def test_what_all_may_be_told_is_there_before_the_first_request(
    states: GatewayStates, reads: CountedReads
) -> None:
    """And serves an asker whose own state is late; a question of its own is done without."""
    async with states.refreshed():
        assert reads.count == 1
        late = asyncio.get_running_loop().time()
        general = states._kept[FOR_ALL].state
        assert await states.state("user_a", GENERAL, late) is general
        assert await states.state(None, "Is the gateway down?", late) is None


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Fix the parser.\nIs the gateway down?", "Is the gateway down?"),
        ("Which deployments are degraded?\n", "Which deployments are degraded?"),
        ("Is the gateway down? Then fix it.", GENERAL),
        ("What does this function return?", GENERAL),
        ("Is the gateway " + "very " * 80 + "down?", GENERAL),
        ("", GENERAL),
    ],
)
def test_a_turn_is_searched_for_a_question_about_the_gateway(text: str, question: str) -> None:
    """Its last line, if that is short and about the gateway; else what is wrong is asked in general."""
    assert question_in(text) == question
