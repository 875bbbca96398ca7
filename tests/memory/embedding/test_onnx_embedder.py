"""The exported model: the vectors of the reference, without torch, and never from a file that is not ours."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import structlog

from memory.embedding.onnx_embedder import OnnxEmbedder
from memory.embedding.onnx_export import export
from memory.embedding.onnx_model import ExportUnusable, OnnxModel, export_path
from memory.embedding.sentence_transformer import (
    BULK,
    PACKAGE_WEIGHTS_SHA256,
    SentenceTransformerEmbedder,
    package_folder,
)
from memory.errors import MemoryUnavailable
from tests.support.incident_world import SCENES

TEXTS = [
    *(" ".join(scene) for scene in SCENES),
    *("", "?", "why", "Why are premium users slow since 07:12 UTC?", "gpt-4/aws 429 rate_limit_exceeded"),
    *("Las peticiones esperan una conexión", "接続プールが枯渇した", "слово", "\ud800", "🔥 \x00 \u202e"),
    *("words " * 20, "words " * 255, "words " * 300, "слово " * 20_000),
]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        package_folder()
    except MemoryUnavailable as absent:
        pytest.skip(str(absent))
    folder = tmp_path_factory.mktemp("exports")
    with warnings.catch_warnings():
        # What other libraries deprecate is not ours to fail on; they are imported here.
        warnings.simplefilter("ignore")
        export_path(folder, PACKAGE_WEIGHTS_SHA256, "0" * 64).touch()
        export(folder)
    return folder


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def embedder(exports: Path) -> AsyncIterator[OnnxEmbedder]:
    embedder = OnnxEmbedder(exports)
    await embedder.load()
    yield embedder
    await embedder.close()


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="session")
async def test_vectors_are_those_of_the_reference(embedder: OnnxEmbedder) -> None:
    """Any text, alone or among few, has the reference's vector, so an index serves both."""
    reference = SentenceTransformerEmbedder()
    await reference.load()
    for name in ("model_id", "weights_hash", "dimension", "background"):
        assert getattr(embedder, name) == getattr(reference, name)
    for start in range(0, len(TEXTS), BULK - 1):
        few = TEXTS[start : start + BULK - 1]
        ours, theirs = await embedder.embed(few), await reference.embed(few)
        assert ours.dtype == theirs.dtype
        assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-6)
        assert (ours * theirs).sum(axis=1).min() >= 0.999999
        assert (await embedder.embed(few[:1]) == ours[:1]).all()
    many = await embedder.embed(TEXTS)
    assert (many * await reference.embed(TEXTS)).sum(axis=1).min() >= 0.999999
    assert (await embedder.embed([])).shape == (0, 384)
    await reference.close()


@pytest.mark.model
@pytest.mark.process
def test_a_question_needs_no_torch(exports: Path) -> None:
    """A process that embeds a few texts imports neither torch nor transformers, and prints nothing."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from memory.embedding.onnx_embedder import OnnxEmbedder\n"
        "asyncio.run(OnnxEmbedder(Path(sys.argv[1])).embed(['Why?'] * 8))\n"
        "sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script, exports], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_what_is_no_export_of_these_weights_is_refused(tmp_path: Path) -> None:
    """Absent, of other weights, cut off, unreadable, or not a model: each is one sentence."""
    weights, tokenizer = "a" * 64, tmp_path / "tokenizer.json"
    export_path(tmp_path, "b" * 64, "c" * 64).write_bytes(b"of other weights")
    with pytest.raises(ExportUnusable, match=r"was not exported to .*; run `python -m memory.embedding"):
        OnnxModel.read(tmp_path, weights, tokenizer)
    damaged = export_path(tmp_path, weights, "d" * 64)
    damaged.write_bytes(b"cut off")
    with pytest.raises(ExportUnusable, match="is damaged; run"):
        OnnxModel.read(tmp_path, weights, tokenizer)
    damaged.unlink()
    damaged.mkdir()
    with pytest.raises(ExportUnusable, match="cannot be read: Is a directory; run"):
        OnnxModel.read(tmp_path, weights, tokenizer)
    damaged.rmdir()
    of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    export_path(tmp_path, weights, of_nothing).touch()
    with pytest.raises(ExportUnusable, match="cannot be loaded: "):
        OnnxModel.read(tmp_path, weights, tokenizer)


@pytest.mark.model
async def test_without_an_export_the_reference_answers(tmp_path: Path) -> None:
    """A damaged export costs a slow start and one line in the log, not the memory."""
    export_path(tmp_path, PACKAGE_WEIGHTS_SHA256, "0" * 64).write_bytes(b"cut off")
    embedder, reference = OnnxEmbedder(tmp_path), SentenceTransformerEmbedder()
    with structlog.testing.capture_logs() as logs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vectors = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS[:3]))
    [line] = logs
    assert line["event"] == "questions are embedded by sentence-transformers"
    assert "is damaged" in line["reason"]
    assert np.concatenate(vectors) == pytest.approx(await reference.embed(TEXTS[:3]), abs=1e-6)
    await embedder.close()
    await reference.close()


@pytest.mark.model
def test_an_export_replaces_the_one_before_it(exports: Path) -> None:
    """The folder holds one export of the weights, whole, and nothing else."""
    [written] = exports.iterdir()
    digest = hashlib.sha256(written.read_bytes()).hexdigest()
    assert written == export_path(exports, PACKAGE_WEIGHTS_SHA256, digest)
