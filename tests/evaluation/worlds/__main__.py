"""`python -m tests.evaluation.worlds`: what prompts tell of worlds that were not made beside the explorer."""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from tests.evaluation.runner import quiet
from tests.evaluation.worlds.measure import measure, show
from tests.evaluation.worlds.score import Score
from tests.evaluation.worlds.tables import print_tables
from tests.evaluation.worlds.world import KINDS

_WIDTH = 170
_INTERRUPTED = 130


def main() -> int:
    """Print the table of a run; on Ctrl-C that of what is done so far."""
    arguments = _arguments()
    console = Console(width=_WIDTH)
    quiet()
    if arguments.show:
        asyncio.run(show(console, arguments.show, arguments.seed, arguments.budget))
        return 0
    done: list[Score] = []
    try:
        asyncio.run(_collect(arguments, done))
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped after {len(done)} prompts; the table is of those\n")
        print_tables(console, arguments.seed, arguments.budget, done)
        return _INTERRUPTED
    print_tables(console, arguments.seed, arguments.budget, done)
    return 0


async def _collect(arguments: argparse.Namespace, done: list[Score]) -> None:
    async for one in measure(arguments.kinds, arguments.seed, arguments.worlds, arguments.budget):
        done.append(one)  # noqa: PERF401  what is done counts if the rest is interrupted


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no kind; there are {', '.join(KINDS)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worlds", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="everything is drawn from it")
    parser.add_argument("--kinds", type=_names, default=list(KINDS), metavar="A,B", help="default: all")
    parser.add_argument("--worlds", type=int, default=1, help="of each kind")
    parser.add_argument("--show", choices=KINDS, metavar="KIND", help="print the prompts of one world")
    parser.add_argument("--budget", type=int, default=4_000, help="tokens of a prompt")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
