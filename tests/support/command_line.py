"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.fork_server import FORKED
from tests.support.patience import PATIENCE_S

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


def program(code: str = START, *, forked: bool = True) -> list[str]:
    """How the command line is started as a process of its own; its imports have been made if it is forked."""
    return [sys.executable, *(FORKED if forked else ()), "-W", "error", "-c", code]


def finished(process: subprocess.Popen[str]) -> Result:
    """The end of a process that was started."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Result(process.returncode, out, err)


def screen_after(output: str) -> list[str]:
    """The lines on a terminal, with what has scrolled out of it, after it was sent the output."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", output):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row - len(lines) + 1)
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b") and part.endswith("A"):
            row -= int(part[2:-1])
        elif not part.startswith("\x1b"):
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    assert not any(lines[row:]), "the cursor is below everything"
    return lines[:row]
