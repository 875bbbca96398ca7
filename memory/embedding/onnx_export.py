"""Exports the packaged model for onnxruntime: a step of the set-up, `python -m memory.embedding.onnx_export`.

Needs the `onnx` package; nothing at run time does.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import warnings
from pathlib import Path
from typing import cast

from memory.embedding.onnx_model import EXPORTS, INPUT, OUTPUT, export_path
from memory.embedding.sentence_transformer import (
    PACKAGE_WEIGHTS_SHA256,
    checked_weights,
    package_folder,
    read_model,
)

_OPSET = 17
_EXAMPLE = [[101, 2339, 2024, 5198, 102]]
"""Tokens to trace the model with; their number is free."""


def export(exports: Path = EXPORTS) -> Path:
    """Write the export and return its path; other exports of the same weights are removed.

    Raises MemoryUnavailable if the packaged model cannot be used, ImportError without `onnx`, and OSError.
    """
    import torch  # noqa: PLC0415  imported with the model

    folder = package_folder()
    checked_weights(folder, PACKAGE_WEIGHTS_SHA256)
    reference = read_model(folder, "cpu")

    class Vectors(torch.nn.Module):  # type: ignore[misc]  # mypy does not read the types of torch
        """Tokens of one text to its vector: the mean of their states, of unit length."""

        def __init__(self) -> None:
            super().__init__()
            self.states = cast("torch.nn.Module", reference[0].model)

        def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
            states = self.states(input_ids=token_ids, token_type_ids=torch.zeros_like(token_ids))
            return torch.nn.functional.normalize(states.last_hidden_state.mean(dim=1))

    exports.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=exports) as scratch, warnings.catch_warnings():
        # What tracing warns of (constants, the tracing exporter itself) is what the test of vectors is for.
        warnings.simplefilter("ignore")
        written = Path(scratch) / "model.onnx"
        torch.onnx.export(
            Vectors().eval(),
            (torch.tensor(_EXAMPLE),),
            str(written),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {1: "tokens"}},
            opset_version=_OPSET,
            dynamo=False,
        )
        with written.open("rb") as file:
            target = export_path(
                exports, PACKAGE_WEIGHTS_SHA256, hashlib.file_digest(file, "sha256").hexdigest()
            )
        written.replace(target)
    for other in exports.glob(f"{PACKAGE_WEIGHTS_SHA256}-*.onnx"):
        if other != target:
            other.unlink()
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{export()}\n")
