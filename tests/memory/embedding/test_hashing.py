"""The hashing embedder: the same everywhere, and close for texts that share words."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memory.embedding.hashing import HashingEmbedder
from tests.support.incident_world import SCENES

HOSTILE = ["", " \n", "!!!", "数据库", "😀" * 9, "x" * 1_000_000, "a b " * 500_000, "\ud800 lone", "\x00"]


async def test_every_text_has_a_vector_of_unit_length() -> None:
    """Any text, also an empty, a huge or a broken one, gets a finite vector of length one."""
    vectors = await HashingEmbedder().embed(HOSTILE)
    assert vectors.shape == (len(HOSTILE), 512)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (await HashingEmbedder().embed([])).shape == (0, 512)


@pytest.mark.process
async def test_other_processes_get_the_same_vectors(repository: Path) -> None:
    """Vectors outlive the process: they do not depend on its hash seed."""
    code = (
        "import asyncio, hashlib; from memory.embedding.hashing import HashingEmbedder; "
        "vectors = asyncio.run(HashingEmbedder().embed(['pool exhausted', '数据库'])); "
        "print(hashlib.sha256(vectors.tobytes()).hexdigest())"
    )
    vectors = await HashingEmbedder().embed(["pool exhausted", "数据库"])
    expected = hashlib.sha256(vectors.tobytes()).hexdigest()
    for seed in ("1", "2"):
        other = subprocess.run(  # noqa: ASYNC221  nothing else runs in this test
            [sys.executable, "-c", code], cwd=repository, env={"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert other.stdout.strip() == expected


async def test_a_text_is_closest_to_the_one_it_shares_words_with() -> None:
    """Symptoms of an incident are closest to its own title and cause, and far from other subjects."""
    embedder = HashingEmbedder()
    whole = await embedder.embed([" ".join(scene) for scene in SCENES])
    parts = await embedder.embed([f"{title}s: {symptoms}" for title, _, symptoms, _, _ in SCENES])
    cosines = parts @ whole.T
    assert list(cosines.argmax(axis=1)) == list(range(len(SCENES)))
    others = cosines[~np.eye(len(SCENES), dtype=bool)]
    assert others.max() < embedder.background + 0.1 < cosines.diagonal().min()


async def test_the_hash_of_the_weights_tells_sizes_apart() -> None:
    """Vectors of different sizes are never taken for each other."""
    small, large = HashingEmbedder(128), HashingEmbedder(512)
    assert small.weights_hash != large.weights_hash
    assert small.model_id != large.model_id
