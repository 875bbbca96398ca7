"""Processes of Python that start in milliseconds: forked from one that has imported what they need.

A command is forked instead of executed if it is `python -X forked ... -c CODE ARGUMENT...`, which means the
same without a server, or starts a worker of Chroma. The process is a child of who started it, with arguments,
environment, folder, streams and signals of its own, and ends as `python -c` does. Only its imports were made
before.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parents[2]
FORKED = ["-X", "forked"]
"""Options of a command that is to be forked."""

_LENGTH = struct.Struct("!I")
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_EXECUTE = subprocess._fork_exec  # type: ignore[attr-defined]

_IMPORTED_ON_USE = (
    *("aiosqlite", "asyncpg", "rich.console", "rich.markdown", "rich.table"),
    *("sqlalchemy.dialects.sqlite.aiosqlite", "sqlalchemy.dialects.postgresql.asyncpg"),
    *("uvicorn.protocols.http.auto", "uvicorn.loops.auto", "uvicorn.lifespan.on"),
    *("api.http.app", "api.log_setup", "context_builder.llm.claude", "context_builder.llm.claude_batches"),
    *("chromadb.cli.cli", "memory.index.chroma_server", "memory.index.chroma_store"),
)
"""What the product imports at the moment it needs it."""


class ForkServer:
    """The process that forks them; it ends with its owner."""

    def __init__(self) -> None:
        """Start it; it imports while its first request waits."""
        self._connection, theirs = socket.socketpair()
        self._turn = threading.Lock()
        program = f"from tests.support.fork_server import serve; serve({theirs.fileno()}, globals())"
        # A library of linear algebra would otherwise start a thread, and threads do not survive a fork.
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", program],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._connection.close()
        self._process.wait()

    def fork(self, request: dict[str, Any], streams: Sequence[int]) -> int:
        """Return the id of a new child process of this one."""
        body = json.dumps(request).encode()
        with self._turn, _adopting():
            socket.send_fds(self._connection, [_LENGTH.pack(len(body))], streams)
            self._connection.sendall(body)
            answer = self._connection.recv(_LENGTH.size, socket.MSG_WAITALL)
        if not answer:
            raise RuntimeError("the process that forks others has ended; standard error says why")
        return int(_LENGTH.unpack(answer)[0])


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Fork what can be forked while the context lasts; the server starts when it is first needed."""
    servers: list[ForkServer] = []

    def fork_exec(args: Sequence[Any], executables: Sequence[bytes], *more: Any) -> int:
        """Stand for the function of this name in the standard library, with its order of arguments."""
        words = [os.fsdecode(word) for word in args]
        close_fds, _, cwd, environment, stdin, _, _, stdout, _, stderr, *_ = more
        if not (close_fds and _can_be_forked(words)):
            return int(_EXECUTE(args, executables, *more))
        if not servers:
            servers.append(ForkServer())
        variables = [os.fsdecode(entry).partition("=") for entry in environment or ()]
        request = {
            "words": words,
            "folder": os.fsdecode(cwd) if cwd is not None else os.getcwd(),  # noqa: PTH109
            "environment": {name: value for name, _, value in variables} if variables else dict(os.environ),
            "new_session": more[13],
        }
        streams = [given if given >= 0 else own for own, given in enumerate((stdin, stdout, stderr))]
        return servers[0].fork(request, streams)

    with patch.object(subprocess, "_fork_exec", fork_exec):
        yield
    for server in servers:
        server.close()


def _can_be_forked(words: Sequence[str]) -> bool:
    if words[0] != sys.executable or "-c" not in words:
        return False
    worker = sys.modules.get("memory.index.chroma_worker")
    is_worker = worker is not None and worker._BOOTSTRAP in words
    return is_worker or words[1 : 1 + len(FORKED)] == FORKED


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Make orphans children of this process."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def serve(connection_fd: int, namespace: dict[str, Any]) -> NoReturn:
    """Fork a process for each request; what it runs has the namespace of `__main__`."""
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # as in conftest.py
    gc.disable()  # imports make no garbage to speak of, and looking for it takes a third of their time
    _import_all()
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        sys.exit("an import has started a thread, which no forked process would have")
    gc.collect()
    gc.freeze()
    gc.enable()
    # Ctrl-C is meant for the tests, whose end is this one's; a forked process gets it as soon as it can.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    connection = socket.socket(fileno=connection_fd)
    while True:
        header, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
        if not header:
            os._exit(0)
        body = connection.recv(_LENGTH.unpack(header)[0], socket.MSG_WAITALL)
        pid = _forked()
        if pid == 0:
            connection.detach()
            _run(_become(json.loads(body), streams), namespace)
        for stream in streams:
            os.close(stream)
        connection.sendall(_LENGTH.pack(pid))


def _run(code: CodeType, namespace: dict[str, Any]) -> NoReturn:
    """Run it and end; an error or a signal ends the process as it ends any interpreter."""
    status = 0
    try:
        exec(code, namespace)  # noqa: S102
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    # As an interpreter ends, without taking its modules apart: that copies all memory shared with the server.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(status & 0xFF)


def _forked() -> int:
    """Fork a process that our parent adopts; return 0 in it once it has been adopted."""
    told, tell = os.pipe()
    adopted, hold = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            os.close(hold)
            os.read(adopted, 1)
            return 0
        os.write(tell, _LENGTH.pack(pid))
        os._exit(0)
    os.waitpid(between, 0)
    pid = _LENGTH.unpack(os.read(told, _LENGTH.size))[0]
    for end in (told, tell, adopted, hold):
        os.close(end)
    return int(pid)


def _become(request: dict[str, Any], streams: Sequence[int]) -> CodeType:
    """Take on what the request says; return the code to run."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    if request["new_session"]:
        os.setsid()
    options, (code, *arguments) = _split(request["words"])
    sys.argv = ["-c", *arguments]
    if "-P" in options:
        sys.path.remove("")
    if "-W" not in options:
        warnings.simplefilter("default")
    _open_streams()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return compile(code, "<string>", "exec")


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    place = words.index("-c")
    return words[1:place], words[place + 1 :]


def _open_streams() -> None:
    """Open the standard streams as the interpreter does when it starts."""
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        size = 0 if number and is_unbuffered else -1
        raw = open(number, "wb" if number else "rb", size, closefd=False)  # noqa: SIM115
        before = getattr(sys, name)
        stream = io.TextIOWrapper(
            raw,
            encoding=before.encoding,
            errors=before.errors,
            newline="\n",
            line_buffering=not is_unbuffered and (name == "stderr" or raw.isatty()),
            write_through=is_unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _import_all() -> None:
    """Import what any command imports."""
    import httpx  # noqa: PLC0415  not where the tests run
    import httpx2  # noqa: PLC0415  likewise

    from api.cli.commands import SUMMARIES, load  # noqa: PLC0415  likewise
    from context_builder.sources import discover  # noqa: PLC0415  likewise

    for name in SUMMARIES:
        load(name)
    for module in _IMPORTED_ON_USE:
        import_module(module)
    discover()
    # Certificates are read once, and not for each client of each process.
    ssl.create_default_context = cache(ssl.create_default_context)  # type: ignore[assignment]
    for library in (httpx, httpx2):
        library.Client().close()
