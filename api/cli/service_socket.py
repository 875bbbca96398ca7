"""The Unix socket by which commands on the same machine find the service of their data."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from api.settings import Settings

log = structlog.get_logger(__name__)

_NAME = "arcpoint.sock"


def socket_path(settings: Settings) -> Path:
    """Return where the service of these settings listens: in the folder that holds its memory."""
    return settings.memory_path.absolute().parent / _NAME


@contextmanager
def local_listener(path: Path) -> Iterator[list[socket.socket]]:
    """Listen on a socket that only our user can open; what a killed service left there is replaced.

    Yields nothing to listen on if another service answers there or the socket cannot be made, which is
    logged: the service is still reached by its address. The socket is removed at the end.
    """
    try:
        listener, made = _listening(path)
    except OSError as error:
        log.warning("no local socket", path=str(path), reason=str(error))
        yield []
        return
    with contextlib.closing(listener):
        try:
            yield [listener]
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(path.stat(), made):
                    path.unlink()


def _listening(path: Path) -> tuple[socket.socket, os.stat_result]:
    """Return a listening socket and the identity of its file. Raises OSError."""
    if _is_served(path):
        raise OSError("another service listens there")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{_NAME}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(fresh))
        fresh.chmod(0o600)
        listener.listen()
        made = fresh.stat()
        # In its place only now that it answers and has its rights.
        fresh.replace(path)
    except OSError:
        listener.close()
        fresh.unlink(missing_ok=True)
        raise
    return listener, made


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
