"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

START = "from api.cli import main; main()"
START_ON_TERMINAL = f"import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); {START}"
"""With its standard input as its terminal, so that Ctrl-C typed there reaches it."""

PAST = "2026-11-20T08:00Z"
"""A moment within the story that is over by any clock."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


def program(code: str = START) -> list[str]:
    """How the command line is started as a process of its own."""
    return [sys.executable, "-W", "error", "-c", code]


def finished(process: subprocess.Popen[str]) -> Result:
    """The end of a process that was started."""
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)
