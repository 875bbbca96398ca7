"""`make eval`: what prompts hold of faults whose truth is known, beside raw rows in the same budget."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path

from rich.console import Console

from evaluation.control import control
from evaluation.report import document, print_report, show
from evaluation.runner import Progress, WorkerFailed, evaluate, quiet
from evaluation.trial import BUDGETS, Trial

_WIDTH = 170
_INTERRUPTED = 130


def main() -> int:
    """Runs the scenarios and prints the tables; on Ctrl-C those of what is done so far."""
    arguments = _arguments()
    console = Console(width=_WIDTH)
    if arguments.show is not None:
        quiet()
        asyncio.run(show(console, arguments.seed, arguments.show, arguments.budget))
        return 0
    if arguments.control is not None:
        quiet()
        asyncio.run(control(console, arguments.seed, arguments.control, arguments.budget))
        return 0
    trials, ended = _run(arguments.seed, arguments.scenarios, arguments.processes)
    if trials:
        print_report(console, arguments.seed, trials)
    if arguments.json and trials:
        text = json.dumps(document(arguments.seed, trials), indent=1, sort_keys=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return ended


def _run(seed: int, scenarios: int, processes: int) -> tuple[list[Trial], int]:
    """All trials in the order of their scenarios, and the exit status."""
    done: list[list[Trial]] = []
    progress = Progress(scenarios)
    ended = 0
    try:
        with closing(evaluate(seed, range(scenarios), processes)) as results:
            for trials in results:
                done.append(trials)
                progress.advance()
    except KeyboardInterrupt:
        sys.stderr.write(f"\nstopped after {len(done)} of {scenarios} scenarios; the tables are of those\n")
        ended = _INTERRUPTED
    except WorkerFailed as failure:
        sys.stderr.write(f"\n{failure}\n")
        ended = 1
    done.sort(key=lambda of_scenario: of_scenario[0].scenario)
    return [trial for of_scenario in done for trial in of_scenario], ended


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="everything is drawn from it")
    parser.add_argument("--scenarios", type=_positive, default=210, help="fifteen make all kinds once")
    parser.add_argument("--processes", type=_positive, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all trials there")
    parser.add_argument(
        "--show", type=int, metavar="N", help="print one scenario: truth, prompt, what it lacks"
    )
    parser.add_argument(
        "--control",
        type=int,
        metavar="WORLD",
        help="a world's questions where nothing is wrong",
    )
    parser.add_argument("--budget", type=int, choices=BUDGETS, default=BUDGETS[-1], help="of these prompts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
