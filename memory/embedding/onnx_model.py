"""The packaged model for onnxruntime: where its export lies, and how one text becomes a vector.

An export is a file named by two hashes, that of the weights it was made of and its own, so that a file that
was cut off, changed or made of other weights is never read. `memory.embedding.onnx_export` writes it.
"""

from __future__ import annotations

import hashlib
import mmap
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory.embedding.embedder import Vectors
from memory.errors import MemoryFailure

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

EXPORTS = Path(sys.prefix) / "share" / "arcpoint"
"""Within the environment that holds the weights."""
INPUT, OUTPUT = "token_ids", "vectors"
"""1 x tokens (int64), and 1 x dimension (float32, unit length)."""

_MAX_TOKENS = 256
"""What sentence-transformers reads of a text with this model."""
_ERRORS_ONLY = 3


class ExportUnusable(MemoryFailure):
    """The model was not exported, or the export cannot be used; the message says why."""


def export_path(folder: Path, weights_hash: str, export_hash: str) -> Path:
    """Return the path of an export; its name is at most 140 characters long."""
    return folder / f"{weights_hash}-{export_hash}.onnx"


class OnnxModel:
    """A verified export with its tokenizer; it uses one thread, the caller's."""

    def __init__(self, session: InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self.dimension = int(session.get_outputs()[0].shape[1])

    @classmethod
    def read(cls, exports: Path, weights_hash: str, tokenizer: Path) -> OnnxModel:
        """Read the export of some weights; takes half a second of CPU. Raises ExportUnusable."""
        path = _verified(exports, weights_hash)
        try:
            import onnxruntime  # noqa: PLC0415  imported in the model's thread
            from tokenizers import Tokenizer  # noqa: PLC0415  likewise

            onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
            options = onnxruntime.SessionOptions()
            # On busy cores, several threads that wait for each other take longer over one text than one.
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            reader = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # noqa: BLE001  both libraries raise it, or classes right below it
            reason = " ".join(str(error).split())[:300]
            raise ExportUnusable(f"the export in {exports} cannot be loaded: {reason}") from None
        reader.no_padding()
        reader.enable_truncation(_MAX_TOKENS)
        return cls(session, reader)

    def embed(self, text: str) -> Vectors:
        """Return the unit vector of one text without lone surrogates."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        [vectors] = self._session.run([OUTPUT], {INPUT: ids})
        return np.asarray(vectors[0], dtype=np.float32)


def _verified(exports: Path, weights_hash: str) -> Path:
    """Return the export of some weights, whose hash was checked. Raises ExportUnusable."""
    remedy = "run `python -m memory.embedding.onnx_export`"
    try:
        path = next(exports.glob(f"{weights_hash}-*.onnx"), None)
        if path is None:
            raise ExportUnusable(f"the model was not exported to {exports}; {remedy}")
        with path.open("rb") as file:
            # In one step, since between two this thread would wait for those that run Python.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
            actual = hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise ExportUnusable(f"the export in {exports} cannot be read: {error.strerror}; {remedy}") from None
    if path != export_path(exports, weights_hash, actual):
        raise ExportUnusable(f"{path} is damaged; {remedy}")
    return path
