"""The command line; `arcpoint --help` lists the commands."""

from __future__ import annotations

import sys

from api.cli.commands import run


def main() -> None:
    """Run the console script."""
    sys.exit(run(sys.argv[1:]))
