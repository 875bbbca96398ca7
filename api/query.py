"""`query_ai`: the Python interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from weakref import WeakKeyDictionary

from api.day_mover import day_mover
from api.services import Services, open_services
from api.settings import Settings, load_settings
from context_builder.answer.answer import Answer
from context_builder.observation import Observe, ignore
from context_builder.question.request import QuestionInput, ScopeNames
from memory.maintenance.outbox_poller import outbox_poller


async def query_ai(  # noqa: PLR0913  each field of a question is a parameter
    question: str,
    *,
    user: str | None = None,
    as_of: datetime | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    scope: ScopeNames | None = None,
    token_budget: int | None = None,
    confined_to: str | None = None,
) -> Answer:
    """Answer a question about the gateway with at most one model call.

    `user` is the user who asks; `as_of` an aware time to answer as of, instead of now; `since` and `until`
    a window and `scope` entities that override those named in the question. `confined_to` is the one
    user whose requests and budget may be shown, with the state of the gateway and nothing of other users. The
    first call in an event loop opens the database and memory named by the environment; later calls share
    them, as do calls inside a running service.

    Raises:
        QuestionError: The question or one of its arguments cannot be used.
        SettingsError: A variable of the environment cannot be used.
        PriceFileError: The file of ARCPOINT_PRICES_FILE cannot be used.
        DatabaseError: The database is unavailable.
    """
    ask = QuestionInput(
        question=question,
        asked_by=user,
        as_of=as_of,
        since=since,
        until=until,
        scope=scope or ScopeNames(),
        token_budget=token_budget,
        confined_to=confined_to,
    )
    services = await services_of_this_loop()
    return await services.answerer.answer(ask)


@asynccontextmanager
async def serving(settings: Settings, observe: Observe = ignore) -> AsyncIterator[Services]:
    """Open services, which `query_ai` then shares wherever it is called in this event loop."""
    loop = asyncio.get_running_loop()
    opening = open_services(settings, wait_for_memory=False, shares_ticks=True)
    async with (
        opening as services,
        _maintenance(services),
        day_mover(services.database, settings),
        services.risk.ticking(),
    ):
        services.report_to(observe)
        _opened[loop] = loop.create_future()
        _opened[loop].set_result(services)
        try:
            yield services
        finally:
            _opened.pop(loop, None)


def _maintenance(services: Services) -> AbstractAsyncContextManager[None]:
    """Keep memory up to date with the database in the background, unless it is read-only."""
    if services.settings.read_only:
        return nullcontext()
    return outbox_poller(services.memory.maintenance, every_s=services.settings.memory_follow_s)


_opened: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[Services]] = WeakKeyDictionary()
_keepers: set[asyncio.Task[None]] = set()


async def services_of_this_loop() -> Services:
    """Return the services of the running event loop, after opening them if none are open."""
    loop = asyncio.get_running_loop()
    if loop not in _opened:
        opened = _opened[loop] = loop.create_future()
        keeper = loop.create_task(_keep_open(opened))
        _keepers.add(keeper)
        keeper.add_done_callback(lambda task: _release(task, opened))
    return await asyncio.shield(_opened[loop])


async def _keep_open(opened: asyncio.Future[Services]) -> None:
    """Keep services open until the loop ends: `asyncio.run` cancels this task and waits for it."""
    async with open_services(await asyncio.to_thread(load_settings)) as services:
        opened.set_result(services)
        await asyncio.get_running_loop().create_future()


def _release(keeper: asyncio.Task[None], opened: asyncio.Future[Services]) -> None:
    """Pass the error of a failed start on to the waiting callers; the next call tries again."""
    _keepers.discard(keeper)
    _opened.pop(opened.get_loop(), None)
    error = None if keeper.cancelled() else keeper.exception()
    if opened.done():
        return
    if error is None:
        opened.cancel()
    else:
        opened.set_exception(error)
