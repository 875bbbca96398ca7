"""An embedding without a model: hashed words and parts of words.

It knows no synonyms, but needs no weights, no memory and no warm-up, and gives the same vectors on every
machine. It is the choice where there is no room for the model, and what most tests use.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memory.embedding.embedder import Vectors

_VERSION = "1"
"""Part of the hash that replaces that of weights: change it with anything that changes a vector."""

_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS = 2_000
"""Bounds the work on one text; the beginning of an incident is the most informative."""
_MAX_WORD_LENGTH = 64
"""A longer run of letters is data, not a word; only its beginning counts."""

_GRAM_LENGTHS = (3, 4)
_GRAM_WEIGHT = 1.0
"""Total weight of the parts of a word, equal to the word's, so that its other forms match; measured."""

_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from had has have in is it its no not of on or our so that the "
        "their then there they this to was we were when which while will with you your",
    )
)
"""Carry grammar, not the subject of a sentence."""


class HashingEmbedder:
    """Feature hashing of words and their character n-grams into signed buckets."""

    background = 0.2

    def __init__(self, dimension: int = 512) -> None:
        """`dimension` is the number of buckets; fewer cause more accidental similarity."""
        self.dimension = dimension
        self.model_id = f"hashing-{dimension}"
        self.weights_hash = hashlib.sha256(f"{self.model_id} {_VERSION}".encode()).hexdigest()

    async def load(self) -> None:
        """Do nothing."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of the texts, `len(texts)` x `dimension`."""
        return await asyncio.to_thread(self._embed, texts)

    async def close(self) -> None:
        """Do nothing."""

    def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            _add_text(row, text)
        return vectors


def _add_text(row: NDArray[np.float32], text: str) -> None:
    for word, count in Counter(_words(text)).items():
        buckets, weights = _features(word)
        # The tenth occurrence of a word says less than the first.
        np.add.at(row, buckets % len(row), weights * np.float32(np.sqrt(count)))
    length = float(np.linalg.norm(row))
    if length > 0:
        row /= length
    else:
        row[0] = 1.0  # a text without words is like other texts without words


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text[: _MAX_WORDS * _MAX_WORD_LENGTH]).casefold()
    words = [word[:_MAX_WORD_LENGTH] for word in _WORD.findall(plain)[:_MAX_WORDS]]
    return [word for word in words if word not in _FUNCTION_WORDS]


@lru_cache(maxsize=20_000)
def _features(word: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return bucket numbers, before the modulo by the dimension, and signed weights of one word."""
    padded = f"<{word}>"
    grams = [
        padded[start : start + length]
        for length in _GRAM_LENGTHS
        for start in range(len(padded) - length + 1)
    ]
    names = [f"w {word}", *(f"g {gram}" for gram in grams)]
    weights = np.full(len(names), _GRAM_WEIGHT / np.sqrt(max(1, len(grams))), dtype=np.float32)
    weights[0] = 1.0
    digests = [
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names
    ]
    signs = np.array([1.0 if digest[0] & 1 else -1.0 for digest in digests], dtype=np.float32)
    buckets = np.array([int.from_bytes(digest[1:], "little") for digest in digests], dtype=np.int64)
    return buckets, weights * signs
