"""How long a process takes from its start to its end: the help, and a question answered here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.measure import QUICK, show
from tests.support.command_line import START
from tests.support.prepared_databases import copy_of_story

RUNS = 1 if QUICK else 5
"""After one that fills the caches of the disk."""
QUESTION = ("ask", "--local", "why is latency up?")


def starts() -> None:
    """Prints the median CPU and wall time of `arcpoint --help`, and of `arcpoint ask` by embedder."""
    with tempfile.TemporaryDirectory(prefix="arcpoint-bench-") as folder:
        url = copy_of_story(folder)
        rows = [_row("--help", ("--help",), {})]
        for embedder in ("sentence-transformers", "hashing"):
            own = {
                "ARCPOINT_DATABASE_URL": url,
                "ARCPOINT_EMBEDDER": embedder,
                "ARCPOINT_MEMORY_PATH": f"{folder}/{embedder}",
            }
            # A process that only asks searches the embeddings in the database.
            _run(("memory", "rebuild"), own)
            rows.append(_row(f"ask, {embedder}", QUESTION, own))
    show("Commands, cold", ("command", "runs", "CPU ms", "wall ms"), rows)


def _row(name: str, command: Sequence[str], variables: dict[str, str]) -> list[str]:
    _run(command, variables)
    runs = [_run(command, variables) for _ in range(RUNS)]
    return [name, str(RUNS), *(f"{1000 * median(figure):,.0f}" for figure in zip(*runs, strict=True))]


def _run(command: Sequence[str], variables: dict[str, str]) -> tuple[float, float]:
    """Return the CPU (user and system) and the wall time of one process, in seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARCPOINT_")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", START, *command],
        env=kept | {"PYTHONPATH": str(Path.cwd())} | variables,
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return used.ru_utime + used.ru_stime, wall
