"""What many trials add up to. Scenarios in which nothing is wrong are counted by themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.evaluation.baselines import FORMATS
from tests.evaluation.faults.kinds import HEALTHY, KINDS
from tests.evaluation.trial import BUDGETS, PRODUCT, Trial

METHODS = (PRODUCT, *FORMATS)
FIRST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one method does with one budget."""

    method: str
    budget: int
    scenarios: int
    """With a fault."""
    complete: int
    """Scenarios of which every question's prompt held all needed facts."""
    prompts: int
    complete_prompts: int
    held: int
    """Needed facts that were there, over all prompts."""
    needed: int
    first: int
    """Prompts with the first causal fact among the FIRST facts."""
    median_rank: float | None
    """Of the first causal fact, where it is shown."""
    healthy: int
    """Scenarios with nothing wrong."""
    false_findings: int
    """Of those, how many have a finding."""
    median_bound: float
    median_counted: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def scores(trials: Sequence[Trial]) -> list[Score]:
    """One per method and budget that was tried."""
    tried = {(trial.method, trial.budget) for trial in trials}
    return [
        _score(method, budget, [t for t in trials if (t.method, t.budget) == (method, budget)])
        for budget in BUDGETS
        for method in METHODS
        if (method, budget) in tried
    ]


def _score(method: str, budget: int, trials: Sequence[Trial]) -> Score:
    faulty = [trial for trial in trials if trial.kind != HEALTHY]
    healthy = _by_scenario(trial for trial in trials if trial.kind == HEALTHY)
    ranks = [trial.rank for trial in faulty if trial.rank is not None]
    of_scenario = _by_scenario(faulty)
    return Score(
        method=method,
        budget=budget,
        scenarios=len(of_scenario),
        complete=sum(all(trial.complete for trial in group) for group in of_scenario.values()),
        prompts=len(faulty),
        complete_prompts=sum(trial.complete for trial in faulty),
        held=sum(sum(trial.held.values()) for trial in faulty),
        needed=sum(len(trial.held) for trial in faulty),
        first=sum(rank <= FIRST for rank in ranks),
        median_rank=median(ranks) if ranks else None,
        healthy=len(healthy),
        false_findings=sum(any(trial.findings for trial in group) for group in healthy.values()),
        median_bound=median(trial.bound for trial in trials),
        median_counted=median(trial.counted for trial in trials),
    )


def _by_scenario(trials: Iterable[Trial]) -> dict[int, list[Trial]]:
    groups: defaultdict[int, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.scenario].append(trial)
    return dict(groups)


def by_kind(trials: Sequence[Trial], method: str, budget: int) -> dict[str, tuple[int, int]]:
    """Complete scenarios and all scenarios, by kind of fault."""
    found = {}
    for kind in KINDS:
        chosen = [t for t in trials if (t.kind, t.method, t.budget) == (kind, method, budget)]
        groups = _by_scenario(chosen)
        if groups and kind != HEALTHY:
            found[kind] = (sum(all(t.complete for t in group) for group in groups.values()), len(groups))
    return found


def missed(trials: Sequence[Trial], method: str, budget: int) -> list[tuple[str, str, int, int]]:
    """Kind, requirement, how often it was missed and how often needed, the most missed first."""
    needed: Counter[tuple[str, str]] = Counter()
    lacking: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        if (trial.method, trial.budget) == (method, budget):
            for name, held in trial.held.items():
                needed[trial.kind, name] += 1
                lacking[trial.kind, name] += not held
    worst = sorted(lacking, key=lambda key: (-lacking[key], key))
    return [(*key, lacking[key], needed[key]) for key in worst if lacking[key]]


def broken(trials: Iterable[Trial]) -> Counter[str]:
    """Sources that could not be read, by how many prompts."""
    return Counter(name for trial in trials for name in trial.broken)
