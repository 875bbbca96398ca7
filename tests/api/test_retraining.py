"""A service trains again beside its work, and uses the newest model, also that of another process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from api.retraining import MIN_INTERVAL, Retraining
from api.settings import Settings
from context_builder.risk.forecast.experts import FEATURES
from context_builder.risk.forecast.forecaster import Forecaster
from context_builder.risk.learning.model_file import SUFFIX
from context_builder.text.clock import utc_now
from models.database import Database
from tests.support.gateway import HOUR, MINUTE, NOON, Gateway
from tests.support.patience import PATIENCE_S

LAST = NOON - 3 * HOUR
"""When the newest model of the table below was trained."""


def settings_of(url: str, folder: Path, hours: float = 24.0) -> Settings:
    return Settings(database_url=url, risk_path=folder, risk_train_h=hours)


async def ended(retraining: Retraining) -> None:
    assert retraining._process is not None
    await asyncio.to_thread(retraining._process.join, PATIENCE_S)


@pytest.mark.process
async def test_a_training_beside_the_service_brings_a_model_into_use(
    database_url: str, tmp_path: Path
) -> None:
    """In another process, once, and served as soon as it is stored."""
    database = Database(database_url)
    gateway = Gateway(database)
    await gateway.deployment("gpt-4/aws", "gpt-4/k8s")
    await gateway.user()
    now = utc_now()
    rng = np.random.default_rng(1)
    await gateway.append(
        [
            gateway.request(now - n * MINUTE, deployment=name, latency_ms=int(rng.lognormal(7, 0.3)))
            for n in range(300)
            for name in ("gpt-4/aws", "gpt-4/k8s")
        ]
    )
    await database.close()
    forecaster = Forecaster()
    retraining = Retraining(settings_of(database_url, tmp_path), forecaster, now - 2 * HOUR)
    await retraining.keep_up(now)
    assert forecaster.panel.trained is None
    await ended(retraining)
    await retraining.keep_up(now + MINUTE)
    assert forecaster.panel.trained is not None
    assert np.isfinite(forecaster.panel.trained(np.zeros((2, len(FEATURES))))).all()
    await retraining.keep_up(now + 2 * HOUR)
    assert retraining._process is None


@pytest.mark.process
async def test_a_training_that_fails_leaves_the_service_as_it_was(database_url: str, tmp_path: Path) -> None:
    """An empty database has nothing to train on: no model, no error, and no other try for an hour."""
    forecaster = Forecaster()
    retraining = Retraining(settings_of(database_url, tmp_path), forecaster, NOON - 2 * HOUR)
    await retraining.keep_up(NOON)
    await ended(retraining)
    await retraining.keep_up(NOON + MINUTE)
    assert forecaster.panel.trained is None
    assert retraining._process is None


@pytest.mark.parametrize(
    ("hours", "newest", "tried", "drifted", "due"),
    [
        (24.0, None, NOON - MIN_INTERVAL, None, True),
        (24.0, None, NOON - MIN_INTERVAL + MINUTE, None, False),
        (24.0, LAST, NOON - 30 * HOUR, None, False),
        (3.0, LAST, NOON - 30 * HOUR, None, True),
        (24.0, LAST, NOON - 30 * HOUR, LAST + MINUTE, True),
        (24.0, LAST, NOON - 30 * HOUR, LAST - MINUTE, False),
        (24.0, LAST, NOON - 30 * MINUTE, LAST + MINUTE, False),
        (0.0, None, NOON - 30 * HOUR, LAST, False),
    ],
    ids=["no model", "just started", "fresh", "old", "drift since", "drift before", "just tried", "off"],
)
def test_a_training_is_due_by_age_or_drift_and_at_most_once_an_hour(
    tmp_path: Path,
    hours: float,
    newest: datetime | None,
    tried: datetime,
    drifted: datetime | None,
    due: bool,
) -> None:
    """An interval of 0 switches it off."""
    path = None if newest is None else tmp_path / f"{newest.astimezone(UTC):%Y%m%dT%H%M%S%f}{SUFFIX}"
    retraining = Retraining(settings_of("sqlite:///none.db", tmp_path, hours), Forecaster(), tried)
    assert retraining._is_due(NOON, path, drifted) is due


def test_a_file_with_another_name_counts_as_no_model(tmp_path: Path) -> None:
    """Somebody's copy in the folder neither stops the training nor raises."""
    path = tmp_path / f"copy{SUFFIX}"
    retraining = Retraining(
        settings_of("sqlite:///none.db", tmp_path), Forecaster(), NOON - timedelta(days=1)
    )
    assert retraining._is_due(NOON, path, None)
