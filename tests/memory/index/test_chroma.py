"""The index in a Chroma folder: exact search, and clear errors when the folder or its worker fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from memory.errors import MemoryCorrupt, MemoryUnavailable
from memory.index import chroma, chroma_worker
from memory.index.chroma import ChromaIndex
from memory.index.chroma_worker import ChromaWorker
from tests.support.incident_world import EPOCH
from tests.support.index_rows import rows
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int, *, within_s: float = 60) -> bool:
    end = time.monotonic() + within_s
    while await asyncio.to_thread(alive, pid):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
async def test_recurrences_hide_neither_themselves_nor_others(
    shared_index: ChromaIndex, spread: float
) -> None:
    """However alike the rows of a cluster are, a query finds all of the closest cluster, before any other."""
    name, clusters, each = f"clusters-{spread}", 10, 120
    chance = np.random.default_rng(5)
    centres = _unit(chance.normal(size=64) + 1.6 * chance.normal(size=(clusters, 64)))
    vectors = _unit(np.tile(centres, (each, 1)) + spread * _unit(chance.normal(size=(clusters * each, 64))))
    stored = replace(rows(range(clusters * each)), vectors=vectors.astype(np.float32))
    await shared_index.create(name)
    await shared_index.upsert(name, stored)
    asked = _unit(centres + 0.3 * _unit(chance.normal(size=centres.shape))).astype(np.float32)
    found = await shared_index.query(name, asked, limit=each, known_before=EPOCH + timedelta(days=999))
    closest = np.argmax(asked @ centres.T, axis=1)
    for neighbors, cluster in zip(found, closest, strict=True):
        assert sorted(int(one.key) for one in neighbors) == list(range(cluster, clusters * each, clusters))
    await shared_index.drop(name)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


async def test_a_killed_worker_is_replaced_by_the_next_call(own_index: ChromaIndex) -> None:
    """Whether it dies between calls or under one, the caller gets the answer and nothing stored is lost."""
    await own_index.create("survivor")
    await own_index.upsert("survivor", rows(range(150)))
    first = own_index.worker_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert await own_index.count("survivor") == 150
    second = own_index.worker_pid
    assert second not in (None, first)
    assert second is not None
    os.kill(second, signal.SIGSTOP)
    calls = [asyncio.create_task(own_index.count("survivor")) for _ in range(5)]
    await asyncio.sleep(0.05)
    os.kill(second, signal.SIGKILL)
    assert await asyncio.gather(*calls) == [150] * 5


async def test_a_hung_worker_costs_the_deadline_and_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stands still is killed at the deadline, also where no caller waits, and on closing."""
    index = ChromaIndex(folder, call_deadline_s=0.5)
    await index.create("hung")
    for patience_s in (5.0, 0.1):
        hung = index.worker_pid
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises((MemoryUnavailable, TimeoutError)) as caught:
            await asyncio.wait_for(index.count("hung"), patience_s)
        assert time.monotonic() - started < 20  # the default would be 30 s
        if isinstance(caught.value, MemoryUnavailable):
            assert str(caught.value) == (
                "the memory worker did not answer within 0.5 s and was stopped; the next use starts another"
            )
        assert await gone(hung)
        index._call_deadline_s = 30.0
        assert await index.count("hung") == 0
        index._call_deadline_s = 0.5
    monkeypatch.setattr(chroma_worker, "_STOP_GRACE_S", 0.2)
    stuck = index.worker_pid
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    await index.close()
    assert await gone(stuck)


async def test_a_second_owner_of_a_folder_is_refused(
    own_index: ChromaIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on one folder would corrupt it: the second learns who has it, and the first goes on."""
    await own_index.create("owned")
    other = ChromaIndex(folder)
    refusal = f"memory folder {folder} is in use by process {os.getpid()}; stop it or use another folder"
    with pytest.raises(MemoryUnavailable) as caught:
        await other.open()
    assert str(caught.value) == f"{refusal} (ARCPOINT_MEMORY_PATH)"
    with monkeypatch.context() as patch:
        patch.setattr(chroma, "_RETRY_REFUSED_S", 600.0)
        for _ in range(2):
            with pytest.raises(MemoryUnavailable, match="is in use by process"):
                await other.count("owned")
            patch.setattr(ChromaWorker, "start", None)  # no worker is started for every question
        other._refused = None
    assert await own_index.count("owned") == 0
    await own_index.close()
    await other.open()
    assert await other.count("owned") == 0
    await other.close()


OWNER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from memory.index.chroma import ChromaIndex
from memory.index.chroma_worker import ChromaWorker

async def own():
    index = ChromaIndex(Path(sys.argv[2]))
    await index.open()
    print(index.worker_pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(own())
"""


async def test_a_worker_ends_with_its_owner(
    own_index: ChromaIndex, folder: Path, repository: Path, tmp_path: Path
) -> None:
    """An owner that is killed leaves no worker behind, and its folder is free again."""
    # In a folder of modules that would shadow ours, or the standard library's, if it were looked into.
    trap = tmp_path / "trap"
    await asyncio.to_thread(trap.mkdir)
    for name in ("memory", "json", "numpy"):
        await asyncio.to_thread((trap / f"{name}.py").write_text, "raise ImportError('shadowed')")
    command = [sys.executable, "-P", "-c", OWNER, str(repository), str(folder)]
    owner = await asyncio.create_subprocess_exec(*command, cwd=trap, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    orphan = int(await owner.stdout.readline())
    owner.kill()
    await owner.communicate()  # its pipe would stay open if the end of the process came first
    assert await gone(orphan)
    await own_index.open()
    assert await own_index.collections() == frozenset()


async def test_a_folder_of_other_files_is_left_alone(own_index: ChromaIndex, folder: Path) -> None:
    """A folder that holds something else is refused, by a rebuild too, and not a byte in it changes."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    await asyncio.to_thread((folder / "thesis.tex").write_text, "years of work")
    expected = f"memory folder {folder} holds other files (thesis.tex) and no memory; use another folder"
    for refused in (own_index.open, own_index.reset, own_index.collections):
        with pytest.raises(MemoryUnavailable) as caught:
            await refused()
        assert str(caught.value).startswith(expected)
        assert not isinstance(caught.value, MemoryCorrupt)
    assert await asyncio.to_thread(os.listdir, folder) == ["thesis.tex"]


@pytest.mark.parametrize("below", ["", "deeper"])
async def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, below: str) -> None:
    """A path that cannot become a folder is named, with the reason and what to do."""
    file = tmp_path / "file"
    await asyncio.to_thread(file.write_text, "in the way")
    index = ChromaIndex(file / below)
    with pytest.raises(MemoryUnavailable, match=r"^memory folder .*/file.* cannot be used: .*; use another"):
        await index.open()
    await index.close()
    assert await asyncio.to_thread(file.read_text) == "in the way"


async def test_damage_is_recognized_and_moved_aside(own_index: ChromaIndex, folder: Path) -> None:
    """A folder that Chroma cannot read raises MemoryCorrupt; a reset keeps its files."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    await asyncio.to_thread(folder.with_name("memory.corrupt-1").mkdir)  # of an earlier accident
    await asyncio.to_thread((folder / "chroma.sqlite3").write_bytes, b"nonsense" * 999)
    with pytest.raises(MemoryCorrupt, match=rf"^memory folder {folder} is damaged \(.*not a database"):
        await own_index.open()
    await own_index.reset()
    assert await own_index.collections() == frozenset()
    aside = folder.with_name("memory.corrupt-2") / "chroma.sqlite3"
    assert await asyncio.to_thread(aside.read_bytes) == b"nonsense" * 999


async def test_a_collection_that_does_not_compare_by_cosine_is_refused(
    own_index: ChromaIndex, folder: Path
) -> None:
    """Distances of another kind are never taken for cosines."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    code = (
        "import sys, chromadb; "
        "chromadb.PersistentClient(sys.argv[1]).create_collection('euclid', embedding_function=None)"
    )
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(folder))
    assert await other.wait() == 0
    await own_index.open()
    with pytest.raises(MemoryCorrupt, match="euclid compares by l2 instead of cosine"):
        await own_index.count("euclid")


async def test_an_interpreter_that_cannot_start_the_worker_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot be started, or that ends as it starts, is reported in one line."""
    with pytest.raises(MemoryUnavailable, match=r"did not start: .*No such file"):
        await ChromaIndex(folder, python=str(tmp_path / "python")).open()
    monkeypatch.setattr(chroma_worker, "_BOOTSTRAP", "import module_that_is_not_there")
    with pytest.raises(MemoryUnavailable) as caught:
        await ChromaIndex(folder).open()
    assert str(caught.value) == "the memory worker did not start: it ended with code 1"


async def test_a_request_that_kills_every_worker_is_not_repeated_for_ever(
    own_index: ChromaIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that a second worker dies over too counts as damage, and other requests go on."""
    fatal = chroma_worker._BOOTSTRAP.replace(
        "main(sys.argv[1:])",
        "import os, chromadb; chromadb.Collection.count = lambda self: os._exit(3); main(sys.argv[1:])",
    )
    monkeypatch.setattr(chroma_worker, "_BOOTSTRAP", fatal)
    await own_index.create("fatal")
    with pytest.raises(
        MemoryCorrupt, match=r"its worker ended with code 3, twice\); `arcpoint memory rebuild`"
    ):
        await own_index.count("fatal")
    assert await own_index.collections() == {"fatal"}


async def test_what_a_library_prints_does_not_disturb_the_answers(
    own_index: ChromaIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only answers go over the pipe: output of anything in the worker, however much, goes elsewhere."""
    noisy = chroma_worker._BOOTSTRAP.replace(
        "main(sys.argv[1:])",
        "import chromadb; count = chromadb.Collection.count; "
        "chromadb.Collection.count = lambda self: (print('noise' * 50_000, flush=True), count(self))[1]; "
        "main(sys.argv[1:])",
    )
    monkeypatch.setattr(chroma_worker, "_BOOTSTRAP", noisy)
    await own_index.create("noisy")
    assert [await own_index.count("noisy") for _ in range(3)] == [0, 0, 0]


async def test_a_closed_index_starts_nothing_until_it_is_opened(own_index: ChromaIndex) -> None:
    """Closing while it starts leaves no worker, and a call after it is refused."""
    opening = asyncio.create_task(own_index.open())
    await asyncio.sleep(0.05)
    await own_index.close()
    await asyncio.wait([opening])
    assert own_index.worker_pid is None
    with pytest.raises(MemoryUnavailable, match="incident memory is closed"):
        await own_index.collections()
    await own_index.open()
    assert own_index.worker_pid is not None


async def test_closing_does_not_wait_for_a_worker_that_still_imports(
    own_index: ChromaIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not touched the folder, so it ends at once; anyone who waits for it is told."""
    monkeypatch.setattr(chroma_worker, "_BOOTSTRAP", "import time; time.sleep(1e9)")
    monkeypatch.setattr(chroma_worker, "_STOP_GRACE_S", 2 * PATIENCE_S)
    opening = asyncio.create_task(own_index.open())
    async with asyncio.timeout(PATIENCE_S):
        while own_index.worker_pid is None:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.01)
        await own_index.close()
    with pytest.raises(MemoryUnavailable, match=r"^incident memory is closed$"):
        await opening
