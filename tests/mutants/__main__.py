"""`make mutants`: break each law on purpose, each mutant in a copy, and see a test fail."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
TABLES = Path(__file__).parent
_TIMEOUT_S = 900.0
_WHOLE_TIMEOUT_S = 7_200.0
"""For the tests of all mutants at once."""
_FAILED = 1
"""Exit status of pytest where a test failed; any other is no verdict."""


@dataclass(frozen=True)
class Mutant:
    """One change that breaks a law, and the tests of which one must notice."""

    law: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """How the tests took a mutant."""

    mutant: Mutant
    outcome: str
    """`killed`, `survived` or `broken` with the exit status, where the tests did not run."""
    seconds: float


def load() -> list[Mutant]:
    """Read every table beside this file. Raises ValueError for a mutant that cannot be applied."""
    mutants = []
    for path in sorted(TABLES.glob("*.toml")):
        for entry in tomllib.loads(path.read_text("utf-8"))["mutant"]:
            mutant = Mutant(**(entry | {"tests": tuple(entry["tests"])}))
            found = (REPOSITORY / mutant.file).read_text("utf-8").count(mutant.old)
            if found != 1:
                raise ValueError(
                    f"{path.name}: {mutant.law}: its text is {found} times in {mutant.file}, not once"
                )
            mutants.append(mutant)
    return mutants


def run(copy: Path, tests: Sequence[str], *, processes: int = 0, timeout_s: float = _TIMEOUT_S) -> int:
    """Run tests in the copy and return the exit status of pytest."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-n", str(processes)]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["PYTHONPATH"] = str(copy)
    try:
        # A loop that never ends is noticed as well.
        ended = subprocess.run(
            command, cwd=copy, env=variables, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _FAILED
    return ended.returncode


def write(path: Path, text: str) -> None:
    """Write a module whose byte code is stale whatever was written in the same second."""
    modified = path.stat().st_mtime_ns + 10**9
    path.write_text(text, "utf-8")
    os.utime(path, ns=(modified, modified))


def judge(mutant: Mutant, copies: Queue[Path]) -> Verdict:
    """Apply a mutant to a copy that is free, run its tests, and take it back."""
    copy = copies.get()
    path = copy / mutant.file
    whole = path.read_text("utf-8")
    started = time.monotonic()
    write(path, whole.replace(mutant.old, mutant.new))
    try:
        status = run(copy, mutant.tests)
    finally:
        write(path, whole)
        copies.put(copy)
    outcome = {0: "survived", _FAILED: "killed"}.get(status, f"broken ({status})")
    return Verdict(mutant, outcome, time.monotonic() - started)


def judge_all(mutants: Sequence[Mutant], folder: Path, jobs: int) -> Iterator[Verdict]:
    """Yield the verdicts as they come, each of so many jobs in a copy of its own.

    Raises:
        RuntimeError: A test fails without a mutant, and would kill all of them.
    """
    copies: Queue[Path] = Queue()
    for number in range(jobs):
        copies.put(
            shutil.copytree(
                REPOSITORY,
                folder / f"{number}" / "arcpoint",
                ignore=shutil.ignore_patterns(".*", "__pycache__"),
            )
        )
    if status := run(
        folder / "0" / "arcpoint", sorted({test for mutant in mutants for test in mutant.tests})
    ):
        raise RuntimeError(f"the tests do not pass without a mutant: pytest ended with {status}")
    with ThreadPoolExecutor(jobs) as pool:
        judged = [pool.submit(judge, mutant, copies) for mutant in mutants]
        try:
            yield from (each.result() for each in as_completed(judged))
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> int:
    """Run the chosen mutants and print a table; the exit status is 1 unless all were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose law or file contains it")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="mutants at the same time")
    arguments = parser.parse_args()
    mutants = [each for each in load() if arguments.only in each.law or arguments.only in each.file]
    console = Console()
    if not mutants:
        console.print(f"no mutant's law or file contains {arguments.only!r}")
        return 2
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="arcpoint-mutants-") as folder:
        try:
            for verdict in judge_all(mutants, Path(folder), arguments.jobs):
                verdicts.append(verdict)
                console.print(f"{len(verdicts)}/{len(mutants)} {verdict.outcome}: {verdict.mutant.law}")
        except RuntimeError as error:
            console.print(str(error))
            return 2
    table = Table("law", "file", "verdict", "seconds", title="Mutants")
    for each in verdicts:
        table.add_row(each.mutant.law, each.mutant.file, each.outcome, f"{each.seconds:.0f}")
    console.print(table)
    killed = sum(each.outcome == "killed" for each in verdicts)
    console.print(f"{killed} of {len(verdicts)} mutants killed")
    return int(killed < len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
