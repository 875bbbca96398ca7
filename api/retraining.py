"""Trains the forecasting model again beside a running service, and puts the newest model into use."""

from __future__ import annotations

import asyncio
import multiprocessing
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from api.log_setup import configure_logging
from api.redaction import make_redaction
from api.settings import Settings
from context_builder.errors import ContextBuilderError
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.learning.model_file import newest_file, newest_model, trained_at
from context_builder.risk.measures.reading import MeasuredPast, read_database
from context_builder.text.clock import utc_now
from models.database import HEAD_REVISION, Database
from models.errors import DatabaseError

log = structlog.get_logger(__name__)

TRAINED_DAYS = 7
MIN_INTERVAL = timedelta(hours=1)
"""Between two trainings, however bad the forecasts are, and after the start of a service."""
_SPAWN = multiprocessing.get_context("spawn")


async def read_past(settings: Settings, now: datetime, span: timedelta) -> MeasuredPast:
    """Return what was measured before a moment. Raises DatabaseError, for another schema too."""
    database = Database(settings.database_url, connections=settings.database_connections, read_only=True)
    try:
        await database.require_revision(HEAD_REVISION)
        return await read_database(database, now - span, now)
    finally:
        await database.close()


class Retraining:
    """The training of one service: in a process of its own, and of several workers in one at a time."""

    def __init__(self, settings: Settings, forecaster: Forecaster, started: datetime) -> None:
        """Nothing is loaded or trained before `keep_up`."""
        self._settings = settings
        self._forecaster = forecaster
        self._every = timedelta(hours=settings.risk_train_h)
        self._last_try = started
        self._loaded: Path | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    async def keep_up(self, now: datetime, drifted_at: datetime | None = None) -> None:
        """Use the newest model of the folder, also of another process; begin a training if one is due.

        It is due after the configured interval, or if forecasts have become worse since the last one.
        """
        newest = await asyncio.to_thread(newest_file, self._settings.risk_path)
        if newest != self._loaded:
            await self._load()
            log.info("forecasting model", file=None if newest is None else newest.name)
            self._loaded = newest
        if self._process is not None:
            if self._process.is_alive():
                return
            self._process = None
        before = await asyncio.to_thread(newest_file, self._settings.risk_path, now)
        if self._is_due(now, before, drifted_at):
            self._last_try = now
            self._process = _SPAWN.Process(target=_train, args=(self._settings,), daemon=True)
            await asyncio.to_thread(self._process.start)

    async def _load(self) -> None:
        model, refused = await asyncio.to_thread(newest_model, self._settings.risk_path)
        for reason in refused:
            log.warning("forecasting model refused", reason=reason)
        self._forecaster.panel.trained = model

    def _is_due(self, now: datetime, newest: Path | None, drifted_at: datetime | None) -> bool:
        if not self._every or self._settings.read_only or now - self._last_try < MIN_INTERVAL:
            return False
        last = _moment_of(newest)
        has_drifted = drifted_at is not None and (last is None or drifted_at > last)
        return last is None or has_drifted or now - last >= self._every


def _moment_of(path: Path | None) -> datetime | None:
    try:
        return None if path is None else trained_at(path)
    except ValueError:
        return None


def _train(settings: Settings) -> None:
    """Train in this process; a failure is a line in the log, and the old model serves."""
    from context_builder.risk.learning.training import train_into  # noqa: PLC0415  loads LightGBM

    configure_logging(settings.log_format, make_redaction(settings))
    now = utc_now()
    try:
        past = asyncio.run(read_past(settings, now, timedelta(days=TRAINED_DAYS)))
        train_into(settings.risk_path, past.minutes, now)
    except (ContextBuilderError, DatabaseError, OSError) as error:
        log.warning("no forecasting model trained", reason=str(error))
        raise SystemExit(1) from None
