"""Which process something belongs to, and whether it still runs. All of it blocks: call it in a thread."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_MAX_HOST = 120
_PROC = Path("/proc")
_START_FIELD = 19
"""Of what follows the name in /proc/<pid>/stat: when the process started, in ticks since the machine did."""
_UNKNOWN = "-"


def this_process() -> str:
    """`host:pid:start`; no two processes ever have the same, unless the system does not tell the start."""
    return f"{_host()}:{os.getpid()}:{_start(os.getpid()) or _UNKNOWN}"


def is_dead(owner: str) -> bool:
    """Whether it is known that the process runs no more; never of one on another host."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    if host != _host() or not rest.isdecimal() or start == _UNKNOWN or not _tells_starts():
        return False
    return _start(int(rest)) != start


def _host() -> str:
    """The machine, and within it the space in which a process number means one process."""
    name = socket.gethostname().replace(":", "_")[:_MAX_HOST]
    try:
        return f"{name}/{(_PROC / 'self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return name


def _tells_starts() -> bool:
    return (_PROC / "self/stat").exists()


def _start(pid: int) -> str | None:
    """When the process began, as the system writes it; None: there is none, or the system does not tell."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name stands in parentheses and may hold anything.
    fields = stat.rpartition(")")[2].split()
    is_gone = fields[:1] in (["Z"], ["X"])
    return None if is_gone or len(fields) <= _START_FIELD else fields[_START_FIELD]
