"""The table of a run by kind, and its headline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.evaluation.worlds.score import FIRST, Score, Verdict
from tests.evaluation.worlds.world import KINDS

_COLUMNS = ("prompts", "complete", "told", *Verdict, f"cause in first {FIRST}", "findings", "to be expected")


def print_tables(console: Console, seed: int, budget: int, scores: Sequence[Score]) -> None:
    """Print one row for each kind, the broken ones first, and the headline."""
    table = Table(title=f"Seed {seed}, {budget:,} tokens", title_justify="left")
    for position, name in enumerate(("kind", *_COLUMNS)):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for kind in KINDS.values():
        chosen = [one for one in scores if one.kind == kind.name]
        if chosen:
            table.add_row(kind.name, *(_healthy(chosen) if kind.is_healthy else _broken(chosen)))
    console.print(table)
    for line in headline(scores):
        console.print(line, highlight=False)
    for text in [text for one in scores for text in one.unread]:
        console.print(f"not read: {text}", highlight=False, markup=False)


def headline(scores: Sequence[Score]) -> list[str]:
    """Say how much is complete and right, and what healthy worlds are accused of."""
    broken, healthy = ([one for one in scores if one.healthy is well] for well in (False, True))
    told = sum(len(one.judged) for one in broken)
    true, side = (sum(one.number(verdict) for one in broken) for verdict in (Verdict.TRUE, Verdict.SIDE))
    caused = [one for one in broken if one.has_cause]
    first = sum(one.rank is not None and one.rank <= FIRST for one in caused)
    findings, planned = sum(len(one.judged) for one in healthy), sum(one.planned for one in healthy)
    return [
        f"complete: {_share(sum(one.complete for one in broken), len(broken))} of prompts",
        f"precision of told changes: {_share(true, told)}, with side effects {_share(true + side, told)}",
        f"cause in first {FIRST}: {_share(first, len(caused))} of prompts",
        f"false findings in healthy worlds: {findings / len(healthy):.1f} per prompt, in "
        f"{_share(sum(bool(one.judged) for one in healthy), len(healthy))} of prompts; "
        f"{planned} of {findings} were to be expected"
        if healthy
        else "no healthy worlds",
        (
            f"said that nothing is broken: {_share(*_calm(scores, broken=False))} of prompts where only the "
            f"traffic changed, {_share(*_calm(scores, broken=True))} where more did"
        ),
        (
            f"said in one line that it is only traffic: {_share(*_traffic(scores, really=True))} of prompts "
            f"with a change that was to be expected, {_share(*_traffic(scores, really=False))} of all others"
        ),
        "by metric, true of told, and findings in healthy worlds: " + _by_metric(broken, healthy),
    ]


def _calm(scores: Sequence[Score], *, broken: bool) -> tuple[int, int]:
    chosen = [one for one in scores if one.broken is broken and not one.healthy]
    return sum(one.calm for one in chosen), len(chosen)


def _traffic(scores: Sequence[Score], *, really: bool) -> tuple[int, int]:
    chosen = [one for one in scores if one.is_expected is really]
    return sum(one.tells_traffic for one in chosen), len(chosen)


def _by_metric(broken: Sequence[Score], healthy: Sequence[Score]) -> str:
    told = Counter(one.metric for score in broken for one, _ in score.judged)
    true = Counter(one.metric for score in broken for one, is_ in score.judged if is_ is Verdict.TRUE)
    findings = Counter(one.metric for score in healthy for one, _ in score.judged)
    return "; ".join(
        f"{name} {true[name]} of {told[name]}, {findings[name]}" for name in sorted(told | findings)
    )


def _broken(chosen: Sequence[Score]) -> list[str]:
    caused = [one for one in chosen if one.has_cause]
    first = sum(one.rank is not None and one.rank <= FIRST for one in caused)
    verdicts = [str(sum(one.number(verdict) for one in chosen)) for verdict in Verdict]
    complete, told = sum(one.complete for one in chosen), sum(len(one.judged) for one in chosen)
    cause = f"{first}/{len(caused)}" if caused else "none recorded"
    return [str(len(chosen)), str(complete), str(told), *verdicts, cause, "", ""]


def _healthy(chosen: Sequence[Score]) -> list[str]:
    told = sum(len(one.judged) for one in chosen)
    return [str(len(chosen)), *("" for _ in range(7)), str(told), str(sum(one.planned for one in chosen))]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} % ({part}/{whole})" if whole else "-"
