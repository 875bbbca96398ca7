"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

PROGRAM = [sys.executable, "-W", "error", "-c", "from api.cli import main; main()"]

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


def finished(process: subprocess.Popen[str]) -> Result:
    """The end of a process that was started."""
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)
