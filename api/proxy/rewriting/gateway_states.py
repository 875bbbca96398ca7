"""What the gateway's monitoring says now, kept ready for each asker and refreshed in the background."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from api.proxy.rewriting.in_time import InTime, Unavailable
from context_builder.builder import ContextBuilder
from context_builder.conversation.gateway_state import GatewayState, state_of
from context_builder.question.request import NOBODY, QuestionError, QuestionInput

GENERAL = "What is wrong with the gateway right now?"
SOURCES = ("health", "incidents", "budgets")
"""What may reach a client: nothing that tells of other users."""
PERSONAL = frozenset({"budgets"})
"""Sources that are read for the asker alone."""
REFRESH_S = 5.0
MAX_AGE_S = 30.0
"""An older state is not inserted."""
IDLE_S = 120.0
"""What nobody asked for in this time is not refreshed."""
START_S = 5.0
"""How long the first state of all is waited for before requests are served."""
MAX_KEPT = 256
MAX_QUESTION = 300
_BUDGET = 4_000
"""Tokens of a context that is built; what is inserted is chosen from its facts."""

_ABOUT_US = re.compile(
    r"\b(?:gateway|router|deployments?|backends?|incidents?|outages?|budgets?|providers?|status)\b",
    re.IGNORECASE,
)

Key = tuple[str | None, str]
FOR_ALL: Key = (None, GENERAL)
"""What everybody may be told; always kept ready, since a conversation that begins does not wait."""


def question_in(text: str) -> str:
    """Return the question about the gateway that a person's turn ends with, else the general one."""
    last = text.rstrip().rpartition("\n")[2].strip()
    asks = last.endswith("?") and len(last) <= MAX_QUESTION and _ABOUT_US.search(last)
    return last if asks else GENERAL


@dataclass(slots=True)
class _Kept:
    state: GatewayState
    read_at: float
    asked_at: float
    recurs: bool = False
    """True if it was asked for more than once: then it is read ahead of the next time."""


class GatewayStates:
    """The states of the gateway by asker and question."""

    def __init__(
        self,
        builder: ContextBuilder,
        in_time: InTime,
        *,
        refresh_s: float = REFRESH_S,
        start_s: float = START_S,
    ) -> None:
        """Build contexts with `builder`, which has the sources that may reach a client."""
        self._builder = builder
        self._in_time = in_time
        self._refresh_s = refresh_s
        self._start_s = start_s
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._pending: dict[Key, asyncio.Future[GatewayState]] = {}
        self.clock: Callable[[], float] = time.monotonic

    @asynccontextmanager
    async def refreshed(self) -> AsyncIterator[None]:
        """Refresh within the block what is asked for; what all may be told is there when it begins."""
        with suppress(Unavailable):
            until = asyncio.get_running_loop().time() + self._start_s
            await self._in_time.result(self._shared(FOR_ALL), until, "context")
        task = asyncio.create_task(self._refresh())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def state(self, asker: str | None, question: str, until: float) -> GatewayState | None:
        """Return the state for an asker, or what all may be told; None if neither can be had until then.

        A state that is kept costs microseconds; one that is not is built, and kept even if it comes too late.
        """
        key = (asker, question)
        if found := self._fresh(key):
            return found
        try:
            return await self._in_time.result(self._shared(key), until, "context")
        except Unavailable:
            return self._fresh(FOR_ALL) if question == GENERAL else None

    def _fresh(self, key: Key) -> GatewayState | None:
        kept = self._kept.get(key)
        if kept is None or self.clock() - kept.read_at > MAX_AGE_S:
            return None
        kept.asked_at, kept.recurs = self.clock(), True
        self._kept.move_to_end(key)
        return kept.state

    async def _shared(self, key: Key) -> GatewayState:
        """Build a state once for all who wait for it."""
        if key not in self._pending:
            task = self._pending[key] = asyncio.ensure_future(self._build(key))
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        return await asyncio.shield(self._pending[key])

    async def _build(self, key: Key) -> GatewayState:
        asker, question = key
        read_at = self.clock()
        ask = QuestionInput(question=question, confined_to=asker or NOBODY, token_budget=_BUDGET)
        try:
            built = await self._builder.build(ask)
        except QuestionError:  # the asker is not known here, or the question cannot be asked
            ask = replace(ask, question=GENERAL, confined_to=NOBODY)
            built = await self._builder.build(ask)
        state = state_of(built.manifest, without=PERSONAL if ask.confined_to == NOBODY else frozenset())
        earlier = self._kept.get(key)
        asked_at, recurs = (earlier.asked_at, earlier.recurs) if earlier else (read_at, question == GENERAL)
        self._kept[key] = _Kept(state, read_at, asked_at, recurs)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return state

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            now = self.clock()
            idle = [key for key, kept in self._kept.items() if now - kept.asked_at > IDLE_S]
            for key in set(idle) - {FOR_ALL}:
                del self._kept[key]
            for key in {FOR_ALL, *(key for key, kept in self._kept.items() if kept.recurs)}:
                with suppress(Unavailable):
                    until = asyncio.get_running_loop().time() + MAX_AGE_S
                    await self._in_time.result(self._shared(key), until, "refreshing context")
