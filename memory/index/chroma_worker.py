"""The process that owns a Chroma folder, and the owner's end of it.

Embedded Chroma holds the interpreter lock for seconds while it writes, so it lives in a child process. The
child answers requests one after another, each a line of JSON on its standard input, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from memory.errors import IndexFault, WorkerDied
from memory.index.child_process import ChildProcess
from memory.index.chroma_folder import ChromaFolder

_PACKAGE = Path(__file__).parents[1]
# The worker finds this package, and not one of the same name, wherever it is started; without the imports of
# the package itself, which would take a second.
_BOOTSTRAP = (
    "import sys, types; package = sys.modules['memory'] = types.ModuleType('memory'); "
    "package.__path__ = [sys.argv.pop(1)]; "
    "from memory.index.chroma_worker import main; main(sys.argv[1:])"
)

_STOP_GRACE_S = 5.0
"""How long a worker may take to finish its current request once its input has ended."""
_MAX_LINE = 2**27
"""Bytes of one answer; the largest of ours is a hundredth of it."""


class ChromaWorker:
    """A worker process. It takes one call at a time."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process
        self._is_open = False

    @classmethod
    async def start(cls, python: str, folder: Path, *options: str) -> ChromaWorker:
        """Start a worker, which begins to open the folder. Raises OSError."""
        command = (python, "-P", "-c", _BOOTSTRAP, str(_PACKAGE), str(folder), *options)
        return cls(await ChildProcess.start(*command, limit=_MAX_LINE))

    async def opened(self, *, deadline_s: float) -> None:
        """Wait until it has opened the folder; if it cannot, it is stopped. Raises IndexFault."""
        try:
            await self._exchange(b"", deadline_s)
        except BaseException:
            await self.stop()
            raise
        self._is_open = True

    @property
    def pid(self) -> int | None:
        """Its process id; None once it has ended."""
        return self._process.pid

    async def call(self, operation: str, arguments: dict[str, Any], *, deadline_s: float) -> Any:
        """Return the result of an operation. Raises IndexFault; a worker past the deadline is killed."""
        request = orjson.dumps([operation, arguments], option=orjson.OPT_SERIALIZE_NUMPY)
        return await self._exchange(request + b"\n", deadline_s)

    async def stop(self) -> None:
        """Let the worker finish its current request, and end it; one that still imports ends at once."""
        self._process.stdin.close()
        if not self._is_open:
            self._process.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await self._process.wait(_STOP_GRACE_S)
        self._process.send(signal.SIGKILL)
        await self._process.wait()

    async def _exchange(self, request: bytes, deadline_s: float) -> Any:
        try:
            async with asyncio.timeout(deadline_s):
                with contextlib.suppress(ConnectionError):  # the missing answer tells the same
                    self._process.stdin.write(request)
                    await self._process.stdin.drain()
                line = await self._process.stdout.readline()
                if not line:
                    await self._process.wait()
        except TimeoutError:
            self._process.send(signal.SIGKILL)
            raise IndexFault(
                "refused",
                f"the memory worker did not answer within {deadline_s:g} s and was stopped; the next use "
                "starts another",
            ) from None
        except asyncio.CancelledError:
            self._process.send(signal.SIGKILL)  # the answer would be taken for that to the next call
            raise
        if not line:
            code = self._process.returncode or 0
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise WorkerDied(how, by_signal=code < 0)
        answer = orjson.loads(line)
        if "fault" in answer:
            raise IndexFault(answer["fault"], answer["message"])
        return answer["result"]


def main(arguments: Sequence[str]) -> None:
    """Serve the folder given first over standard input and output.

    `--reset` sets its files aside before; `--existing` refuses a folder without any.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the owner, which then ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into the answers
    try:
        _serve(Path(arguments[0]), sys.stdin.buffer, answers, arguments[1:])
    except BrokenPipeError:
        sys.exit(1)  # the owner is gone
    os._exit(0)  # every answer is flushed; taking Chroma apart would keep the owner waiting


def _serve(path: Path, requests: BinaryIO, answers: BinaryIO, options: Sequence[str]) -> None:
    def send(**answer: Any) -> None:
        answers.write(orjson.dumps(answer) + b"\n")
        answers.flush()

    try:
        folder = ChromaFolder(path, owner=os.getppid(), create="--existing" not in options)
        # Where it is installed, a library of Chroma's would compile a grammar with it for four seconds.
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
        from memory.index import chroma_store  # noqa: PLC0415  takes most of a second: not for a refusal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from now on the end of the input ends us
        if "--reset" in options:
            folder.set_aside()
    except (IndexFault, ImportError) as error:
        send(fault=getattr(error, "kind", "failed"), message=str(error))
        return

    # A second thread would spin for 60 ms after each comparison, on a core that the answer needs next.
    threadpool_limits(1, user_api="blas")
    store = chroma_store.ChromaStore(path)

    def answer(operation: str, arguments: dict[str, Any]) -> None:
        try:
            send(result=getattr(store, operation)(**arguments))
        except chroma_store.FAULTS as error:
            send(fault=chroma_store.kind_of(error), message=str(error))

    answer("open", {})
    for line in requests:
        answer(*orjson.loads(line))
