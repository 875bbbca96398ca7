"""The command line; `arcpoint --help` lists the commands."""

from __future__ import annotations

import gc
import sys

from api.cli.commands import run


def main() -> None:
    """Run the console script."""
    # A start makes little garbage; a command that runs for longer has it collected.
    gc.disable()
    code = run(sys.argv[1:])
    # What is left goes with the process: to look through it would take longer than most commands.
    gc.freeze()
    sys.exit(code)
