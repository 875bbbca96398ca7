"""The packaged model with questions embedded by onnxruntime, which starts in a tenth of torch's time."""

from __future__ import annotations

from pathlib import Path

import structlog
from typing_extensions import override

from memory.embedding.embedder import Vectors
from memory.embedding.onnx_model import EXPORTS, ExportUnusable, OnnxModel
from memory.embedding.sentence_transformer import (
    PACKAGE_WEIGHTS_SHA256,
    TOKENIZER,
    SentenceTransformerEmbedder,
    package_folder,
)

log = structlog.get_logger(__name__)


class OnnxEmbedder(SentenceTransformerEmbedder):
    """The same model, weights and vectors: texts alone by onnxruntime, many at once by its base class.

    Without a usable export everything is left to the base class, which is logged once.
    """

    def __init__(self, exports: Path = EXPORTS) -> None:
        """`exports` is the folder with the exported model."""
        super().__init__()
        self._exports = exports
        self._onnx: OnnxModel | None = None
        self._is_unusable = False

    @override
    def _load(self) -> None:
        if self._onnx is None and not self._is_unusable:
            try:
                tokenizer = package_folder() / TOKENIZER
                self._onnx = OnnxModel.read(self._exports, PACKAGE_WEIGHTS_SHA256, tokenizer)
            except ExportUnusable as error:
                self._is_unusable = True
                log.warning("questions are embedded by sentence-transformers", reason=str(error))
        if self._onnx is None:
            super()._load()
        else:
            self._weights_hash, self._dimension = PACKAGE_WEIGHTS_SHA256, self._onnx.dimension

    @override
    def _embed_alone(self, text: str) -> Vectors:
        return super()._embed_alone(text) if self._onnx is None else self._onnx.embed(text)
