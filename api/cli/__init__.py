"""The command line: `arcpoint --help` lists what it can do."""

from __future__ import annotations

import sys

from api.cli.commands import run


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
