"""A model file is whole and ours, or it is refused and the one before it serves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from context_builder.risk.forecast.experts import FEATURES
from context_builder.risk.learning.model_file import (
    KEPT_FILES,
    SUFFIX,
    ModelCard,
    ModelFileError,
    newest_file,
    newest_model,
    read_model,
    write_model,
)


def onnx_of(weight: float, width: int = len(FEATURES)) -> bytes:
    """A model whose output is `weight` times the sum of its inputs."""
    from onnx import TensorProto, helper  # noqa: PLC0415  takes a while

    weights = helper.make_tensor("w", TensorProto.FLOAT, [width, 1], [weight] * width)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["out"])],
        "sum",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def card(day: int) -> ModelCard:
    moment = f"2026-03-{day:02}T00:00:00+00:00"
    return ModelCard(moment, moment, moment, 1_000, FEATURES, 0.1, 0.05)


def stored(folder: Path, day: int, weight: float) -> Path:
    return write_model(folder, card(day), onnx_of(weight))


def output(folder: Path) -> float | None:
    model, _ = newest_model(folder)
    return None if model is None else float(model(np.ones((1, len(FEATURES))))[0])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Card and model come back, the newest first, and older files go beyond KEPT_FILES."""
    for day in range(1, KEPT_FILES + 3):
        stored(tmp_path, day, float(day))
    assert output(tmp_path) == pytest.approx((KEPT_FILES + 2) * len(FEATURES))
    assert len(list(tmp_path.iterdir())) == KEPT_FILES
    model, refused = newest_model(tmp_path)
    assert model is not None
    assert model.card.trained_at == card(KEPT_FILES + 2).trained_at
    assert refused == ()


def test_what_has_just_been_written_is_kept_whatever_else_lies_there(tmp_path: Path) -> None:
    """Files of a clock that ran ahead are older than it, whatever their names say."""
    for day in range(20, 20 + KEPT_FILES + 1):
        (tmp_path / f"202703{day}T000000000000{SUFFIX}").write_bytes(b"junk")
    path = stored(tmp_path, 1, 1.0)
    assert path.is_file()
    assert output(tmp_path) == pytest.approx(len(FEATURES))
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert newest_file(tmp_path, now) == path
    assert newest_file(tmp_path) != path


def test_without_a_folder_there_is_no_model(tmp_path: Path) -> None:
    """A folder that does not exist is no error."""
    assert newest_model(tmp_path / "none") == (None, ())


def tampered(content: bytes, how: str) -> bytes:
    head, _, onnx = content.partition(b"\n")

    def other(**changed: object) -> bytes:
        return json.dumps({**json.loads(head), **changed}).encode() + b"\n" + onnx

    assert np.float32(2).tobytes() in onnx
    return {
        "cut short": content[: len(content) // 2],
        "a weight": head + b"\n" + onnx.replace(np.float32(2).tobytes(), np.float32(3).tobytes(), 1),
        "another format": other(format="other"),
        "other features": other(features=["lag_0"]),
        "another card": other(pairs="many"),
        "brackets": b"[" * 200_000,
        "no card": onnx,
        "empty": b"",
        "zeros": b"\x00" * 1_000,
    }[how]


@pytest.mark.parametrize(
    "how",
    ["cut short", "a weight", "another format", "other features", "another card", "brackets", "no card",
     "empty", "zeros"],
)  # fmt: skip
def test_a_bad_file_leaves_the_one_before_it_in_use(tmp_path: Path, how: str) -> None:
    """Whatever happened to the newest file, it is named and the older one serves."""
    stored(tmp_path, 1, 1.0)
    newest = stored(tmp_path, 2, 2.0)
    newest.write_bytes(tampered(newest.read_bytes(), how))
    assert output(tmp_path) == pytest.approx(len(FEATURES))
    _, (reason,) = newest_model(tmp_path)
    assert reason.startswith(newest.name)
    assert "\n" not in reason


@pytest.mark.parametrize("onnx", [b"no model", None])
def test_a_file_that_is_no_model_of_ours_is_refused(tmp_path: Path, onnx: bytes | None) -> None:
    """The hash may be right and the model still unusable: no ONNX, or one for fewer features."""
    path = write_model(tmp_path, card(1), onnx_of(1.0, 3) if onnx is None else onnx)
    with pytest.raises(ModelFileError, match="onnxruntime refuses"):
        read_model(path)


def test_a_write_that_dies_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last step fails, the older model serves and nothing half-written stays."""
    stored(tmp_path, 1, 1.0)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        stored(tmp_path, 2, 2.0)
    assert output(tmp_path) == pytest.approx(len(FEATURES))
    assert len(list(tmp_path.iterdir())) == 1
