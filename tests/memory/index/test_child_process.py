"""A child process is left behind by nothing, and nothing waits for one for ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from signal import SIGKILL, SIGTERM

import psutil
import pytest

from memory.index.child_process import ChildProcess
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.process

ECHO = "import sys\nfor line in sys.stdin: print(line.strip() * 2, flush=True)"


async def start() -> ChildProcess:
    return await ChildProcess.start(sys.executable, "-I", "-S", "-c", ECHO, limit=100)


def all_ended(before: set[psutil.Process]) -> bool:
    """Whether the children since then have ended: one that a loaded machine has yet to kill is waited for."""
    _, alive = psutil.wait_procs(set(psutil.Process().children()) - before, timeout=PATIENCE_S)
    return not alive


async def test_it_answers_until_its_input_ends() -> None:
    """Lines go in and come out, and it ends with its input."""
    child = await start()
    for word in (b"one", b"two"):
        child.stdin.write(word + b"\n")
        await child.stdin.drain()
        assert await child.stdout.readline() == word * 2 + b"\n"
    with pytest.raises(TimeoutError):
        await child.wait(0.01)
    child.stdin.close()
    assert await child.wait() == 0
    assert (child.pid, child.returncode) == (None, 0)
    child.send(SIGKILL)


async def test_a_signal_ends_it_and_is_its_code() -> None:
    """A reader learns of the end, and who waits of the signal."""
    child = await start()
    child.send(SIGTERM)
    assert await child.stdout.read() == b""
    assert await child.wait() == -SIGTERM


async def test_a_command_that_is_not_there_is_an_error() -> None:
    """Nothing is left to be waited for."""
    with pytest.raises(OSError, match="none"):
        await ChildProcess.start("/none/at/all", limit=100)


async def test_one_of_which_a_pipe_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child is left, and no pipe stays open."""
    before = set(psutil.Process().children())

    async def fail(*_: object) -> None:
        raise OSError("no pipe")

    monkeypatch.setattr(asyncio.get_running_loop(), "connect_write_pipe", fail)
    with pytest.raises(OSError, match="no pipe"):
        await start()
    assert all_ended(before)
    await asyncio.sleep(0)  # closes what was told to close
    gc.collect()  # an open pipe is an error of this test, not of one that comes later


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
def test_a_loop_that_ends_while_one_starts_ends_too(turns: int) -> None:
    """At whatever moment all tasks are cancelled, none waits for ever and no child is left."""
    before = set(psutil.Process().children())

    async def main() -> None:
        starting = asyncio.create_task(start())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        if starting.done():
            starting.result().send(SIGKILL)
            await starting.result().wait()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())
    assert all_ended(before)
    gc.collect()  # a pipe that stayed open
