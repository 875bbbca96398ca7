"""The trained model as a file: written whole or not at all, refused if anything about it is wrong.

A line of JSON describes the model and has the SHA-256 of the rest, which is ONNX. Newer files lie beside
older ones, so that a corrupt file leaves the model before it in use.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from context_builder.errors import ContextBuilderError
from context_builder.risk.forecast.experts import FEATURES
from context_builder.risk.measures.series_table import Floats

FORMAT = "arcpoint-forecast-1"
SUFFIX = ".forecast"
MAX_BYTES = 50 * 2**20
KEPT_FILES = 3
_STAMP = "%Y%m%dT%H%M%S%f"
"""Of the moment of training in UTC, so that names sort by it."""


class ModelFileError(ContextBuilderError):
    """A file that holds no usable model; the message says which and why."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model was made of, and how good it was."""

    trained_at: str
    """ISO 8601."""
    data_from: str
    data_until: str
    pairs: int
    features: tuple[str, ...]
    skill_against_now: float
    """1 - mean absolute error / that of "as now", on the newest fifth of the data, which it had not seen."""
    skill_against_average: float
    """The same against the moving average that it corrects."""
    sha256: str = ""
    """Of the ONNX bytes."""


class TrainedModel:
    """A model in onnxruntime, on one thread: batches are small, and others need the processor too."""

    def __init__(self, card: ModelCard, onnx: bytes) -> None:
        """Load a model. Raises ModelFileError."""
        # Importing it starts a thread, which a process without a model does without.
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  it has no types

        self.card = card
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
            zero = self(np.zeros((1, len(FEATURES))))
        except _refusals() as error:
            raise ModelFileError(f"onnxruntime refuses it: {_first_line(error)}") from None
        if zero.shape != (1,) or not np.isfinite(zero).all():
            raise ModelFileError("its output is not one number a row")

    def __call__(self, features: Floats) -> Floats:
        """Return the expected distance from the base of each row, in units of the scale."""
        given = {self._session.get_inputs()[0].name: features.astype(np.float32)}
        found: Floats = self._session.run(None, given)[0].astype(np.float64)
        return found.reshape(len(features))


def _refusals() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises; its errors have no base class of their own."""
    from onnxruntime.capi import (  # type: ignore[import-untyped]  # noqa: PLC0415
        onnxruntime_pybind11_state as native,
    )

    return (
        *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf, native.NoModel),
        *(native.NotImplemented, native.RuntimeException, ValueError),
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def write_model(folder: Path, card: ModelCard, onnx: bytes) -> Path:
    """Add a model to a folder and remove those that are no longer kept. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromisoformat(card.trained_at).astimezone(UTC).strftime(_STAMP)
    path = folder / f"{stamp}{SUFFIX}"
    head = {"format": FORMAT, **asdict(card), "sha256": hashlib.sha256(onnx).hexdigest()}
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + onnx)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    others = [each for each in _files(folder) if each != path]
    for old in others[KEPT_FILES - 1 :]:
        old.unlink(missing_ok=True)
    return path


def _check(card: ModelCard) -> None:
    """Raise ValueError or TypeError if a card holds something else than it should."""
    for text in (card.trained_at, card.data_from, card.data_until):
        datetime.fromisoformat(text)
    if not isinstance(card.pairs, int):
        raise TypeError(card.pairs)
    for skill in (card.skill_against_now, card.skill_against_average):
        if not isinstance(skill, int | float):
            raise TypeError(skill)


def read_model(path: Path) -> TrainedModel:
    """Load one file.

    Raises:
        ModelFileError: It is damaged, of another format, or for other features.
        OSError: It cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelFileError(f"{path.name}: larger than {MAX_BYTES // 2**20} MiB")
    head, _, onnx = path.read_bytes().partition(b"\n")
    try:
        described: Any = json.loads(head)
        if not isinstance(described, dict) or described.pop("format", None) != FORMAT:
            raise ModelFileError(f"{path.name}: not a file of format {FORMAT}")
        card = ModelCard(**{**described, "features": tuple(described["features"])})
        _check(card)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelFileError(f"{path.name}: not a file of format {FORMAT}") from None
    if hashlib.sha256(onnx).hexdigest() != card.sha256:
        raise ModelFileError(f"{path.name}: damaged, its SHA-256 is not the one that it states")
    if card.features != FEATURES:
        raise ModelFileError(f"{path.name}: made for other features than this version computes")
    try:
        return TrainedModel(card, onnx)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from None


def newest_model(folder: Path) -> tuple[TrainedModel | None, tuple[str, ...]]:
    """Return the newest usable model of a folder, and why newer files were refused."""
    refused: list[str] = []
    for path in _files(folder):
        try:
            return read_model(path), tuple(refused)
        except (ModelFileError, OSError) as error:
            refused.append(str(error))
    return None, tuple(refused)


def newest_file(folder: Path, until: datetime | None = None) -> Path | None:
    """Return the newest model file of a folder, usable or not; `until` leaves out those of the future."""
    last = None if until is None else until.astimezone(UTC).strftime(_STAMP)
    return next((path for path in _files(folder) if last is None or path.stem <= last), None)


def trained_at(path: Path) -> datetime:
    """Return when a model was trained, by its file's name. Raises ValueError."""
    return datetime.strptime(path.stem, _STAMP).replace(tzinfo=UTC)


def _files(folder: Path) -> list[Path]:
    """Return the model files of a folder, the newest first."""
    found: Iterator[Path] = folder.glob(f"*{SUFFIX}") if folder.is_dir() else iter(())
    return sorted(found, reverse=True)
