"""`make eval`: how questions are understood, what prompts hold of known faults, what memory recalls."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from memory.errors import MemoryUnavailable
from tests.evaluation.brief_form import measure as measure_briefs
from tests.evaluation.brief_form import print_briefs
from tests.evaluation.control import control
from tests.evaluation.recall.runner import EMBEDDERS, measure
from tests.evaluation.recall.tables import print_tables
from tests.evaluation.report import document, print_report, show
from tests.evaluation.runner import Progress, WorkerFailed, evaluate, quiet
from tests.evaluation.trial import BUDGETS, Trial
from tests.evaluation.trust.measure import measure as measure_trust
from tests.evaluation.trust.measure import print_trust
from tests.evaluation.understanding.measure import measure as measure_understanding
from tests.evaluation.understanding.tables import print_understanding, to_json

_WIDTH = 180
_INTERRUPTED = 130


def main() -> int:
    """Prints the tables of all parts, or of the one asked for; on Ctrl-C those of what is done so far."""
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
    found: dict[str, Any] = {}
    parts = {
        "understanding": _understanding,
        "prompts": _prompts,
        "briefs": _briefs,
        "trust": _trust,
        "recall": _recall,
    }
    ended = 0
    for run_part in [parts[name] for name in parts if getattr(arguments, name)] or parts.values():
        ended = ended or run_part(console, arguments, found)
    if arguments.json and found:
        text = json.dumps(found, indent=1, sort_keys=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return ended


def _understanding(console: Console, arguments: argparse.Namespace, found: dict[str, Any]) -> int:
    """Prints how questions are understood, adds it to what is found, gives the exit status."""
    try:
        results = measure_understanding()
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped before the understanding of questions was measured\n")
        return _INTERRUPTED
    print_understanding(console, results, verbose=arguments.verbose)
    found["understanding"] = to_json(results)
    return 0


def _prompts(console: Console, arguments: argparse.Namespace, found: dict[str, Any]) -> int:
    """Likewise for what prompts hold."""
    trials, ended = _run(arguments.seed, arguments.scenarios, arguments.processes)
    if trials:
        print_report(console, arguments.seed, trials)
        found |= document(arguments.seed, trials)
    return ended


def _briefs(console: Console, arguments: argparse.Namespace, _found: dict[str, Any]) -> int:
    """Prints how many briefs answer the question first."""
    quiet()
    try:
        print_briefs(console, arguments.seed, asyncio.run(measure_briefs(arguments.seed)))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped before briefs were measured\n")
        return _INTERRUPTED
    return 0


def _trust(console: Console, arguments: argparse.Namespace, _found: dict[str, Any]) -> int:
    """Prints what redaction finds and leaves alone, and what becomes of orders in the data."""
    quiet()
    print_trust(console, arguments.seed, asyncio.run(measure_trust(arguments.seed)))
    return 0


def _recall(console: Console, arguments: argparse.Namespace, found: dict[str, Any]) -> int:
    """Likewise for what memory recalls."""
    try:
        report = asyncio.run(measure(arguments.seed, EMBEDDERS[arguments.embedder]()))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped before recall was measured\n")
        return _INTERRUPTED
    except MemoryUnavailable as missing:
        sys.stderr.write(f"\nrecall cannot be measured: {missing}\n")
        return 1
    print_tables(console, report.rankings, report.abstentions, report.leaks)
    found["recall"] = report.to_json()
    return 0


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
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--understanding", action="store_true", help="only how questions are understood")
    part.add_argument("--prompts", action="store_true", help="only what prompts hold")
    part.add_argument("--briefs", action="store_true", help="only whether briefs answer the question first")
    part.add_argument("--trust", action="store_true", help="only secrets, and orders in the data")
    part.add_argument("--recall", action="store_true", help="only what memory recalls")
    parser.add_argument("--verbose", action="store_true", help="also every question that is misread")
    parser.add_argument(
        "--embedder", choices=EMBEDDERS, default="sentence-transformers", help="that recall is measured with"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
