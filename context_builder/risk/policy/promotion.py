"""Promotion from shadow mode: refused until the forecasts have earned it on the fleet's own last day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from statistics import fmean, median

from context_builder.risk.policy.limits import ENTER_PROBABILITY

SPAN = timedelta(hours=24)
MIN_SPAN = timedelta(hours=22)
"""What the forecasts of the last day must cover."""
_MINUTE = timedelta(minutes=1)
"""Between two forecasts of a deployment."""
MIN_MATURED = 100
"""Matured forecasts of a deployment below which it is not judged."""
MIN_MEAN_SKILL = 0.15
MIN_SKILL = -0.10
MIN_SKILLED_SHARE = 0.9
"""Share of deployments with a skill above 0."""
MIN_RECALL = 0.7
MIN_LEAD = timedelta(minutes=2)
MAX_FALSE_ALARMS = 6
"""A day and deployment, on average."""


@dataclass(frozen=True, slots=True)
class MaturedForecast:
    """One forecast beside what came of it."""

    deployment: str
    made_at: datetime
    due_at: datetime
    now_ms: float
    expected_ms: float | None
    outcome_ms: float | None
    probability: float | None
    breached: bool | None


@dataclass(frozen=True, slots=True)
class GoalCheck:
    """Whether one goal holds, with its figures in words."""

    goal: str
    holds: bool
    figures: str


def check_goals(forecasts: Sequence[MaturedForecast]) -> tuple[GoalCheck, ...]:
    """Judge the forecasts of the last day; goals without enough data do not hold."""
    # By minutes, so that a service that was off for most of the day has not covered it.
    span = len({each.made_at for each in forecasts}) * _MINUTE
    hours = span.total_seconds() / 3600
    enough = GoalCheck("a day of forecasts", span >= MIN_SPAN, f"they cover {hours:.1f} of 24 h")
    by_name: dict[str, list[MaturedForecast]] = {}
    for each in sorted(forecasts, key=lambda one: (one.deployment, one.made_at)):
        by_name.setdefault(each.deployment, []).append(each)
    return (enough, _check_skill(by_name), _check_brier(by_name), _check_warnings(by_name))


def refusal_of(checks: Sequence[GoalCheck]) -> str:
    """Return why promotion is refused, goal by goal; empty if it is not."""
    failing = [f"{each.goal}: {each.figures}" for each in checks if not each.holds]
    return f"promotion is refused: {'; '.join(failing)}" if failing else ""


def _check_skill(by_name: Mapping[str, Sequence[MaturedForecast]]) -> GoalCheck:
    """Check goal 1: the error against that of "as now"."""
    skills = []
    for forecasts in by_name.values():
        pairs = [
            (abs(each.expected_ms - each.outcome_ms), abs(each.now_ms - each.outcome_ms))
            for each in forecasts
            if each.expected_ms is not None and each.outcome_ms is not None
        ]
        naive = sum(now for _, now in pairs)
        if len(pairs) >= MIN_MATURED and naive > 0:
            skills.append(1 - sum(own for own, _ in pairs) / naive)
    if not skills:
        return GoalCheck("skill", holds=False, figures=f"no deployment has {MIN_MATURED} matured forecasts")
    above = sum(skill > 0 for skill in skills) / len(skills)
    holds = fmean(skills) >= MIN_MEAN_SKILL and min(skills) >= MIN_SKILL and above >= MIN_SKILLED_SHARE
    figures = (
        f"mean {fmean(skills):.2f} of at least {MIN_MEAN_SKILL}, lowest {min(skills):.2f} of {MIN_SKILL}, "
        f"above 0 on {100 * above:.0f} % of {100 * MIN_SKILLED_SHARE:.0f} %"
    )
    return GoalCheck("skill", holds, figures)


def _check_brier(by_name: Mapping[str, Sequence[MaturedForecast]]) -> GoalCheck:
    """Check goal 4: the Brier score of breaches against that of their usual frequency."""
    skills: dict[str, float] = {}
    for name, forecasts in by_name.items():
        pairs = [
            (each.probability, float(each.breached))
            for each in forecasts
            if each.probability is not None and each.breached is not None
        ]
        usual = fmean(came for _, came in pairs) if pairs else 0.0
        if len(pairs) >= MIN_MATURED and 0 < usual < 1:
            skills[name] = 1 - fmean((p - came) ** 2 for p, came in pairs) / (usual * (1 - usual))
    if not skills:
        return GoalCheck("Brier skill", holds=False, figures="no deployment had both breaches and calm")
    worst = min(skills, key=lambda name: skills[name])
    figures = f"lowest {skills[worst]:.2f}, of {worst}; it must be above 0 on all"
    return GoalCheck("Brier skill", skills[worst] > 0, figures)


def _check_warnings(by_name: Mapping[str, Sequence[MaturedForecast]]) -> GoalCheck:
    """Check goal 5: breaches that were warned of, how long before, and warnings of nothing."""
    episodes, false_alarms, judged = 0, 0, 0
    leads_s: list[float] = []
    for forecasts in by_name.values():
        known = [each for each in forecasts if each.probability is not None and each.breached is not None]
        judged += bool(known)
        for run in _runs(known, [bool(each.breached) for each in known]):
            episodes += 1
            warned = [each.made_at for each in run if _warns(each)]
            if warned:
                # The first forecast whose horizon holds the breach is made a horizon before it.
                leads_s.append((run[0].due_at - warned[0]).total_seconds())
        alarms = _runs(known, [_warns(each) for each in known])
        false_alarms += sum(not any(each.breached for each in run) for run in alarms)
    if not episodes:
        return GoalCheck("warnings", holds=False, figures="there was no breach to be warned of")
    recall, per_day = len(leads_s) / episodes, false_alarms / judged
    lead_s = median(leads_s) if leads_s else 0.0
    figures = (
        f"{len(leads_s)} of {episodes} breaches warned of, at least {100 * MIN_RECALL:.0f} % are needed; "
        f"median lead {lead_s / 60:.1f} of {MIN_LEAD.total_seconds() / 60:g} min; "
        f"{per_day:.1f} false alarms a day and deployment, at most {MAX_FALSE_ALARMS}"
    )
    holds = recall >= MIN_RECALL and lead_s >= MIN_LEAD.total_seconds() and per_day <= MAX_FALSE_ALARMS
    return GoalCheck("warnings", holds, figures)


def _warns(forecast: MaturedForecast) -> bool:
    return forecast.probability is not None and forecast.probability >= ENTER_PROBABILITY


def _runs(forecasts: Sequence[MaturedForecast], chosen: Sequence[bool]) -> Iterator[list[MaturedForecast]]:
    """Yield the runs of chosen forecasts of one deployment, in order."""
    pairs = zip(forecasts, chosen, strict=True)
    for is_chosen, run in groupby(pairs, key=lambda pair: pair[1]):
        if is_chosen:
            yield [each for each, _ in run]
