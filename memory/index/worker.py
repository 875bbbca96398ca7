"""A child process that answers documents, each under a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import cast

from memory.index import ipc as frames
from memory.index.ipc import Document

_STOP_GRACE_S = 5.0
"""How long a worker may take to finish what it does once its input has ended."""
_LAST_WORDS = 2_000
"""Bytes of a worker's error output that are kept to explain its death."""


class WorkerDied(Exception):
    """The worker ended before it answered; asking a new one may help."""

    def __init__(self, how: str, *, by_signal: bool) -> None:
        super().__init__(how)
        self.by_signal = by_signal


class WorkerHung(Exception):
    """The worker did not answer within the deadline and was killed."""


class WorkerFault(Exception):
    """The worker answered that it cannot do what was asked."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Worker:
    """The owner's end of a worker process. Many tasks may call it at the same time."""

    def __init__(self, process: Process) -> None:
        """`process` has pipes for its input, its output and its errors."""
        self.pid = process.pid
        self._process = process
        self._stdin = cast("StreamWriter", process.stdin)
        self._stdout = cast("StreamReader", process.stdout)
        self._stderr = cast("StreamReader", process.stderr)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Document], asyncio.TimerHandle]] = {}
        self._last_words = b""
        self._listener = asyncio.create_task(self._listen(asyncio.create_task(self._overhear())))

    @classmethod
    async def start(cls, command: Sequence[str], *, deadline_s: float) -> Worker:
        """A worker that has said that it is ready. Raises WorkerFault, WorkerHung or WorkerDied."""
        # In a session of its own, so that Ctrl-C in a terminal does not interrupt a write.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        worker = cls(process)
        try:
            await worker._answer(0, deadline_s)
        except BaseException:
            await worker.stop()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return not self._listener.done() and self._process.returncode is None

    async def call(self, request: Document, *, deadline_s: float) -> Document:
        """The worker's answer. Raises WorkerFault, WorkerHung or WorkerDied.

        A caller that is cancelled does not disturb the others; the deadline then still guards the worker.
        """
        number = next(self._numbers)
        answer = self._answer(number, deadline_s)
        with contextlib.suppress(ConnectionError):  # the listener notices the same
            self._stdin.write(frames.encode({"id": number} | request))
            await self._stdin.drain()
        return await answer

    async def stop(self) -> None:
        """Lets the worker finish what it does, and ends it."""
        self._stdin.close()
        # Not awaited itself: at the end of an event loop the listener is cancelled together with its caller.
        await asyncio.wait([self._listener], timeout=_STOP_GRACE_S)
        if not self._listener.done():
            self._kill()
            await asyncio.wait([self._listener])

    def _answer(self, number: int, deadline_s: float) -> asyncio.Future[Document]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Document] = loop.create_future()
        if self._listener.done():
            answer.set_exception(self._death())
        else:
            self._waiting[number] = answer, loop.call_later(deadline_s, self._give_up, number, deadline_s)
        return answer

    def _give_up(self, number: int, deadline_s: float) -> None:
        """Kills a worker that is stuck: whatever else waits for it would wait in vain."""
        self._settle(number, WorkerHung(f"did not answer within {deadline_s:g} s"))
        self._kill()

    def _settle(self, number: int, outcome: Document | Exception) -> None:
        answer, timer = self._waiting.pop(number)
        timer.cancel()
        if answer.done():  # its caller was cancelled
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    async def _listen(self, overhearing: asyncio.Task[None]) -> None:
        """Hands answers to those who wait, until the worker's output ends."""
        try:
            await self._hear()
            # Its own end tells more than our signal; without its output it is of no use either way.
            end = asyncio.get_running_loop().call_later(_STOP_GRACE_S, self._kill)
            await overhearing
            await self._process.wait()
            end.cancel()
        except asyncio.CancelledError:
            # The event loop ends: nobody else is left to see the process off.
            self._kill()
            await self._process.wait()
            raise
        finally:
            for number in list(self._waiting):
                self._settle(number, self._death())

    async def _hear(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await self._stdout.readexactly(frames.HEADER.size)
                (length,) = frames.HEADER.unpack(header)
                self._take(frames.decode(await self._stdout.readexactly(length)))

    def _take(self, document: Document) -> None:
        number = document["id"]
        if number not in self._waiting:
            return
        if "fault" in document:
            self._settle(number, WorkerFault(document["fault"], document["message"]))
        else:
            self._settle(number, document["result"])

    async def _overhear(self) -> None:
        """Reads the worker's error output, so that it never fills its pipe."""
        while chunk := await self._stderr.read(_LAST_WORDS):
            self._last_words = (self._last_words + chunk)[-_LAST_WORDS:]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _death(self) -> WorkerDied:
        """How the worker ended, in one line."""
        code = self._process.returncode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        said = self._last_words.decode(errors="replace").strip().splitlines()
        return WorkerDied(f"{how}: {said[-1].strip()}" if said else how, by_signal=code < 0)
