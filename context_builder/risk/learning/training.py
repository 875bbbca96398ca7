"""Trains the model of the change against the moving average, for all deployments at once.

LightGBM on absolute errors; what is served is its export to ONNX. Import it only in a process that trains.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from context_builder.errors import ContextBuilderError
from context_builder.risk.forecast.experts import FEATURES, MAX_DISTANCE
from context_builder.risk.forecast.forecaster import HORIZON_MINUTES, Forecaster
from context_builder.risk.learning.model_file import ModelCard, ModelFileError, TrainedModel, write_model
from context_builder.risk.measures.history import Minute
from context_builder.risk.measures.series_table import Floats
from context_builder.rollups.span import moment_of

MIN_PAIRS = 1_000
"""Pairs of features and outcome without which a model is not worth it."""
MAX_PAIRS = 1_000_000
HELD_OUT = 0.2
"""Newest share of the time that judges the model."""
MAX_EXPORT_ERROR = 1e-3
"""Mean difference between a model and its export, in units of the scale.

The export computes in float32, so that a value next to a split may fall on its other side.
"""
PARAMETERS: dict[str, Any] = {
    "objective": "regression_l1", "num_leaves": 15, "max_depth": 8, "learning_rate": 0.05,
    "min_data_in_leaf": 30, "bagging_fraction": 0.8, "bagging_freq": 1, "feature_fraction": 0.8,
    "num_threads": 1, "seed": 0, "deterministic": True, "verbosity": -1,
}  # fmt: skip
TREES = 100
_OPENMP = "libgomp.so.1"


class TooLittleData(ContextBuilderError):
    """There is not enough to train on; the message says how much is needed."""


class TrainingUnderWay(ContextBuilderError):
    """Another process trains into the same folder."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Features and outcomes in the order of time."""

    features: Floats
    """Shape (pairs, FEATURES)."""
    outcomes: Floats
    """Distance from the moving average, in units of the scale."""
    now: Floats
    """What "as now" expects, in the same units."""
    minutes: Floats

    def __len__(self) -> int:
        return len(self.outcomes)

    def where(self, mask: Any) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.features[mask], self.outcomes[mask], self.now[mask], self.minutes[mask])


def collect_pairs(minutes: Sequence[Minute], report: Callable[[int, int], None] = lambda *_: None) -> Pairs:
    """Replay minutes through a forecaster, and return what it knew with what came."""
    forecaster, parts = Forecaster(), []
    pending: dict[int, tuple[Floats, Floats, Floats]] = {}
    for number, minute in enumerate(minutes):
        if not forecaster.observe(minute):
            continue
        report(number, len(minutes))
        step = forecaster.last_step
        due = pending.pop(minute.number - HORIZON_MINUTES, None)
        if due is not None:
            features, base, scale = due
            outcome = (forecaster.last_values[: len(base)] - base) / scale
            known = np.isfinite(outcome) & np.isfinite(features[:, 0])
            when = np.full(int(known.sum()), float(minute.number))
            cut = np.clip(outcome[known], -MAX_DISTANCE, MAX_DISTANCE)
            parts.append((features[known], cut, features[known, 0], when))
        known = np.isfinite(forecaster.last_values)
        held = np.where(known[:, None], step.features, np.nan)
        pending[minute.number] = (held, step.base, step.scale)
        pending = {at: one for at, one in pending.items() if at > minute.number - HORIZON_MINUTES}
    if not parts:
        return Pairs(np.zeros((0, len(FEATURES))), *(np.zeros(0),) * 3)
    features, outcomes, now, when = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Pairs(features, outcomes, now, when)


def train(pairs: Pairs, trained_at: datetime) -> tuple[ModelCard, bytes]:
    """Train a model, judge it on the newest part, then train it on everything and export it.

    Raises:
        TooLittleData: There are fewer than MIN_PAIRS.
        ModelFileError: The export is not the model.
    """
    if len(pairs) < MIN_PAIRS:
        raise TooLittleData(
            f"{len(pairs):,} forecasts with an outcome are too few to train on; {MIN_PAIRS:,} are needed"
        )
    if len(pairs) > MAX_PAIRS:
        pairs = pairs.where(np.linspace(0, len(pairs) - 1, MAX_PAIRS).astype(np.int64))
    border = np.quantile(pairs.minutes, 1 - HELD_OUT)
    past, held = pairs.where(pairs.minutes < border - HORIZON_MINUTES), pairs.where(pairs.minutes >= border)
    error = float(np.abs(held.outcomes - _fit(past).predict(held.features, num_threads=1)).mean())
    booster = _fit(pairs)
    onnx = _export(booster)
    card = ModelCard(
        trained_at=trained_at.isoformat(),
        data_from=moment_of(int(pairs.minutes.min())).isoformat(),
        data_until=moment_of(int(pairs.minutes.max())).isoformat(),
        pairs=len(pairs),
        features=FEATURES,
        skill_against_now=_skill(error, float(np.abs(held.outcomes - held.now).mean())),
        skill_against_average=_skill(error, float(np.abs(held.outcomes).mean())),
    )
    sample = pairs.features[:: max(1, len(pairs) // 1_000)].astype(np.float64)
    served = TrainedModel(card, onnx)(sample)
    difference = float(np.abs(served - booster.predict(sample, num_threads=1)).mean())
    if difference > MAX_EXPORT_ERROR:
        raise ModelFileError(f"the export differs from the model by {difference:g}, so it is not stored")
    return card, onnx


def train_into(
    folder: Path,
    minutes: Sequence[Minute],
    trained_at: datetime,
    report: Callable[[int, int], None] = lambda *_: None,
) -> ModelCard:
    """Train on minutes and store the model; what was stored before stays in use until then.

    Raises:
        TooLittleData: There is not enough to train on.
        TrainingUnderWay: Another process trains into the folder.
        OSError: The model cannot be stored.
    """
    with _alone(folder):
        card, onnx = train(collect_pairs(minutes, report), trained_at)
        write_model(folder, card, onnx)
    return card


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from training; the system releases the lock of one that dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "training.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingUnderWay(f"another process trains into {folder}; wait until it has ended") from None
        yield


def _skill(error: float, other: float) -> float:
    return 1 - error / other if other > 0 else 0.0


def _fit(pairs: Pairs) -> Any:
    _load_openmp()
    import lightgbm  # noqa: PLC0415  takes seconds, and only training needs it

    data = lightgbm.Dataset(pairs.features, pairs.outcomes, free_raw_data=False)
    return lightgbm.train(PARAMETERS, data, num_boost_round=TREES)


def _load_openmp() -> None:
    """Load torch's copy of the OpenMP runtime where the system has none: LightGBM brings none of its own."""
    try:
        ctypes.CDLL(_OPENMP, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        torch = importlib.util.find_spec("torch")
        for folder in (torch and torch.submodule_search_locations) or ():
            ctypes.CDLL(str(Path(folder) / "lib" / _OPENMP), mode=ctypes.RTLD_GLOBAL)


def _export(booster: Any) -> bytes:
    from onnxmltools import convert_lightgbm  # type: ignore[import-untyped]  # noqa: PLC0415  likewise
    from onnxmltools.convert.common.data_types import (  # type: ignore[import-untyped]  # noqa: PLC0415
        FloatTensorType,
    )

    types = [("features", FloatTensorType([None, len(FEATURES)]))]
    model = convert_lightgbm(booster, initial_types=types, zipmap=False)
    serialized: bytes = model.SerializeToString()
    return serialized
