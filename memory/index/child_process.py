"""A child process with pipes for its input and output, which no cancellation leaves behind.

`asyncio.create_subprocess_exec` would wait for ever if it is cancelled while it starts (Python 3.11), as any
task is when its loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from asyncio import ReadTransport, StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from signal import SIGKILL, Signals


class ChildProcess:
    """A running child, in a session of its own: Ctrl-C in a terminal is not meant for it."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: StreamWriter,
        stdout: StreamReader,
        reading: ReadTransport,
    ) -> None:
        """Wrap a process with streams on its pipes; `reading` feeds `stdout`."""
        self._process = process
        self.stdin = stdin
        self.stdout = stdout
        self._reading = reading

    @classmethod
    async def start(cls, *command: str, limit: int) -> ChildProcess:
        """Start a command whose lines of output have at most `limit` bytes. Raises OSError."""
        spawning = _Spawning(command)
        try:
            process = await asyncio.to_thread(spawning.run)
            return cls(process, *await _streams(process, limit))
        except BaseException:
            await asyncio.to_thread(spawning.abandon)
            raise

    @property
    def pid(self) -> int | None:
        """Its process id; None once it has ended."""
        return self._process.pid if self.returncode is None else None

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def send(self, number: Signals) -> None:
        """Send a signal unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def wait(self, at_most_s: float | None = None) -> int:
        """Wait until it has ended. Raises TimeoutError."""
        try:
            code = await asyncio.to_thread(self._process.wait, at_most_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        self.stdin.close()
        self._reading.close()
        return code


class _Spawning:
    """A process that is being started in a thread, and ended at once if nobody waits for it any longer."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._is_abandoned = False
        self._turn = threading.Lock()

    def run(self) -> subprocess.Popen[bytes]:
        """Start it. Raises OSError."""
        process = subprocess.Popen(  # noqa: S603  the command is ours
            self._command, bufsize=0, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        with self._turn:
            self._process = process
            if self._is_abandoned:
                self._end(process)
        return process

    def abandon(self) -> None:
        """End it now, or as soon as it has been started."""
        with self._turn:
            self._is_abandoned = True
            if self._process is not None:
                self._end(self._process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with process:  # closes the pipes and waits
            process.send_signal(SIGKILL)


async def _streams(
    process: subprocess.Popen[bytes], limit: int
) -> tuple[StreamWriter, StreamReader, ReadTransport]:
    loop, reader = asyncio.get_running_loop(), StreamReader(limit=limit)
    reading, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), process.stdout)
    try:
        writing, protocol = await loop.connect_write_pipe(
            lambda: StreamReaderProtocol(StreamReader()), process.stdin
        )
    except BaseException:
        reading.close()
        raise
    return StreamWriter(writing, protocol, None, loop), reader, reading
