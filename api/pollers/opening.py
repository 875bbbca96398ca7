"""Pollers as the settings say: none without a file, and none where nothing may leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from api.pollers.fetching import Fetcher
from api.pollers.runner import PollRunner
from api.pollers.targets import load_targets
from api.settings import Settings, SettingsError
from context_builder.background import in_background
from models.database import Database

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_pollers(settings: Settings, database: Database) -> AsyncIterator[PollRunner]:
    """Give the pollers of this process.

    Raises:
        SettingsError: nothing may be polled, no file says what is, or the file cannot be used.
    """
    if settings.no_poll_reason is not None:
        raise SettingsError(settings.no_poll_reason)
    if settings.poll_file is None:
        raise SettingsError("ARCPOINT_POLL_FILE is not set: no file says what is polled")
    targets = await asyncio.to_thread(load_targets, settings.poll_file)
    async with await asyncio.to_thread(Fetcher) as fetcher:
        yield PollRunner(database, targets, fetcher)


@asynccontextmanager
async def polling(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Poll while the context lasts, if a file says what; where nothing may be polled, that is logged.

    Raises:
        SettingsError: the file cannot be used.
    """
    if settings.poll_file is None:
        yield
        return
    if settings.no_poll_reason is not None:
        log.warning("nothing is polled", reason=settings.no_poll_reason)
        yield
        return
    async with open_pollers(settings, database) as runner, in_background(runner.run()):
        yield
