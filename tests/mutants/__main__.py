"""`make mutants`: break each law on purpose, one mutant at a time in a copy, and see a test fail."""

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
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]
TABLES = Path(__file__).parent
_TIMEOUT_S = 900.0
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


def run(copy: Path, tests: Sequence[str]) -> int:
    """Run tests in the copy and return the exit status of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    variables = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        # A loop that never ends is noticed as well.
        ended = subprocess.run(
            command, cwd=copy, env=variables, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return _FAILED
    return ended.returncode


def judge(copy: Path, mutants: Sequence[Mutant]) -> Iterator[Verdict]:
    """Apply each mutant to the copy, run its tests, and take it back."""
    for mutant in mutants:
        path = copy / mutant.file
        whole = path.read_text("utf-8")
        started = time.monotonic()
        path.write_text(whole.replace(mutant.old, mutant.new), "utf-8")
        try:
            status = run(copy, mutant.tests)
        finally:
            path.write_text(whole, "utf-8")
        outcome = {0: "survived", _FAILED: "killed"}.get(status, f"broken ({status})")
        yield Verdict(mutant, outcome, time.monotonic() - started)


def main() -> int:
    """Run the chosen mutants and print a table; the exit status is 1 unless all were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose law or file contains it")
    only = parser.parse_args().only
    mutants = [each for each in load() if only in each.law or only in each.file]
    console = Console()
    if not mutants:
        console.print(f"no mutant's law or file contains {only!r}")
        return 2
    with tempfile.TemporaryDirectory(prefix="arcpoint-mutants-") as folder:
        copy = Path(folder) / "arcpoint"
        shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        # A test that fails without a mutant would kill all of them.
        if status := run(copy, sorted({test for mutant in mutants for test in mutant.tests})):
            console.print(f"the tests do not pass without a mutant: pytest ended with {status}")
            return 2
        verdicts = []
        for verdict in judge(copy, mutants):
            verdicts.append(verdict)
            console.print(f"{len(verdicts)}/{len(mutants)} {verdict.outcome}: {verdict.mutant.law}")
    table = Table("law", "file", "verdict", "seconds", title="Mutants")
    for each in verdicts:
        table.add_row(each.mutant.law, each.mutant.file, each.outcome, f"{each.seconds:.0f}")
    console.print(table)
    killed = sum(each.outcome == "killed" for each in verdicts)
    console.print(f"{killed} of {len(verdicts)} mutants killed")
    return int(killed < len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
