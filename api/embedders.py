"""The embedder of the settings: apart from the other services, so that it loads while they are imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.settings import Settings

if TYPE_CHECKING:
    from memory.embedding.embedder import Embedder


def make_embedder(settings: Settings) -> Embedder:
    """Create the embedder of the settings."""
    if settings.embedder == "hashing":
        from memory.embedding.hashing import HashingEmbedder  # noqa: PLC0415  one of them is needed

        return HashingEmbedder()
    if settings.embedder_path is None:
        from memory.embedding.onnx_embedder import OnnxEmbedder  # noqa: PLC0415  likewise

        return OnnxEmbedder()
    from memory.embedding.sentence_transformer import (  # noqa: PLC0415  likewise
        SentenceTransformerEmbedder,
    )

    return SentenceTransformerEmbedder(settings.embedder_path, expected_sha256=settings.embedder_sha256)
