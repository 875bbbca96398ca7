"""`arcpoint risk chaos`: one fault against a simulated fleet, under this policy and the usual ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import AsJson
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines
from context_builder.risk.chaos.arrivals import recorded
from context_builder.risk.chaos.comparison import LOAD, compare, mean_rate
from context_builder.risk.chaos.faults import FAULT_START_S, SCENARIOS, ChaosScenario
from context_builder.risk.chaos.fleet import LIMIT_S
from context_builder.risk.chaos.simulation import DURATION_S, ChaosResult

_COLUMNS = ("policy", "breached", "share", "p99", "ejections", "flaps", "ejected", "recovery")


def chaos(
    scenario: Annotated[str, typer.Argument(help=f"One of: {', '.join(SCENARIOS)}.")],
    seed: Annotated[int, typer.Option(min=0, help="Draws other arrivals and other luck.")] = 1,
    arrivals: Annotated[
        Path | None,
        typer.Option(help="CSV file to replay: arrival times in its first column, in seconds or ISO 8601."),
    ] = None,
    load: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Arrivals as a share of what the fleet can answer.")
    ] = LOAD,
    *,
    as_json: AsJson = False,
) -> None:
    """Compare routing policies on a simulated fleet that a fault strikes."""
    if scenario not in SCENARIOS:
        raise typer.BadParameter(f"{scenario!r} is no scenario; known are {', '.join(SCENARIOS)}")
    chosen = SCENARIOS[scenario]
    times = None if arrivals is None else recorded(arrivals, rate=mean_rate(load), duration_s=DURATION_S)
    results = compare(chosen, seed, arrivals=times, load=load)
    if as_json:
        say_json({"scenario": scenario, "seed": seed, "results": [asdict(each) for each in results]})
        return
    for line in chaos_lines(chosen, results):
        say(line)


def chaos_lines(scenario: ChaosScenario, results: tuple[ChaosResult, ...]) -> list[str]:
    """Return the results of a run as ten lines or fewer."""
    struck = "one of 6 deployments" if scenario.struck == 1 else f"{scenario.struck} of 6 deployments"
    table = TextTable(
        title=f"{scenario.name}: {scenario.summary}, {struck}, "
        f"from {FAULT_START_S:g} to {scenario.end_s:g} of {DURATION_S:g} s",
        columns=_COLUMNS,
        rows=tuple(map(_row, results)),
    )
    own, best = results[0], min(results[1:], key=lambda each: each.breached)
    more = own.breached - best.breached
    verdict = (
        f"{abs(more)} {'more' if more > 0 else 'fewer'} breached requests than {best.policy}, the best other"
    )
    return [
        *plain_lines(table),
        f"breached: not answered within {LIMIT_S:g} s; {own.requests} requests under each policy",
        verdict,
    ]


def _row(result: ChaosResult) -> tuple[str, ...]:
    recovery = "not seen" if result.recovery_s is None else f"{result.recovery_s:.0f} s"
    return (
        result.policy,
        f"{result.breached}",
        f"{100 * result.breached_share:.2f} %",
        f"{result.p99_s:.2f} s",
        f"{result.ejections}",
        f"{result.max_flaps}",
        f"{100 * result.max_ejected_share:.0f} %",
        recovery,
    )
