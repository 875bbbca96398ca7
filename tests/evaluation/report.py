"""The tables of a run, and one scenario in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from context_builder.builder import BuiltContext
from context_builder.question.request import QuestionInput
from tests.evaluation.runner import single
from tests.evaluation.scenario import Scenario
from tests.evaluation.score import FIRST, METHODS, broken, by_kind, missed, scores
from tests.evaluation.traffic import Effect, Rollout, Slice, Surge
from tests.evaluation.trial import BUDGETS, PRODUCT, Trial, context_builder, findings, message, named, seen
from tests.evaluation.truth import Event, Onset, Prompt, Requirement, Symptom

_MAX_MISSED = 15


def document(seed: int, trials: Sequence[Trial]) -> dict[str, Any]:
    """The whole run as plain values; equal for equal seeds and code."""
    return {
        "seed": seed,
        "scores": [score.to_json() for score in scores(trials)],
        "kinds": {
            str(budget): {method: by_kind(trials, method, budget) for method in METHODS} for budget in BUDGETS
        },
        "trials": [trial.to_json() for trial in trials],
    }


def print_report(console: Console, seed: int, trials: Sequence[Trial]) -> None:
    """Every table."""
    for table in (_overall(seed, trials), _kinds(trials), _missed(trials)):
        console.print(table)
        console.print()
    for finding in _false_findings(trials):
        console.print(finding, highlight=False, markup=False)
    for source, prompts in sorted(broken(trials).items()):
        console.print(f"source {source} could not be read for {prompts} prompts", markup=False)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", no_wrap=True)
    return table


def _overall(seed: int, trials: Sequence[Trial]) -> Table:
    table = _table(
        f"Seed {seed}: prompts that hold all the facts that a right answer needs",
        "method", "budget", "scenarios", "complete", "of prompts", "of facts", f"cause in first {FIRST}",
        "median rank", "false findings", "bound", "WordPiece",
    )  # fmt: skip
    for score in scores(trials):
        ours = score.method == PRODUCT
        table.add_row(
            score.method, f"{score.budget:,}", str(score.scenarios), _share(score.complete, score.scenarios),
            _share(score.complete_prompts, score.prompts), _share(score.held, score.needed),
            _share(score.first, score.prompts) if ours else "-",
            f"{score.median_rank:g}" if score.median_rank is not None else "-",
            f"{score.false_findings} of {score.healthy}" if ours else "-",
            f"{score.median_bound:,.0f}", f"{score.median_counted:,.0f}",
        )  # fmt: skip
    return table


def _kinds(trials: Sequence[Trial]) -> Table:
    columns = [f"{method} {budget:,}" for method in METHODS for budget in BUDGETS]
    table = _table("Complete scenarios by kind of fault", "kind", "scenarios", *columns)
    cells = {(method, budget): by_kind(trials, method, budget) for method in METHODS for budget in BUDGETS}
    for kind, (_, whole) in cells[PRODUCT, BUDGETS[-1]].items():
        shares = [_share(*cell[kind]) if kind in cell else "-" for cell in cells.values()]
        table.add_row(kind, str(whole), *shares)
    return table


def _missed(trials: Sequence[Trial]) -> Table:
    budget = BUDGETS[-1]
    table = _table(
        f"What {PRODUCT} misses most at {budget:,} tokens",
        "kind",
        "needed fact",
        "missed",
        "needed",
        "scenarios",
    )
    for kind, name, lacking, needed in missed(trials, PRODUCT, budget)[:_MAX_MISSED]:
        numbers = dict.fromkeys(
            str(t.scenario)
            for t in trials
            if (t.kind, t.method, t.budget) == (kind, PRODUCT, budget) and not t.held.get(name, True)
        )
        table.add_row(kind, name, str(lacking), str(needed), " ".join(list(numbers)[:6]))
    return table


def _false_findings(trials: Sequence[Trial]) -> Iterator[str]:
    for trial in trials:
        if trial.method == PRODUCT and trial.budget == BUDGETS[-1] and trial.findings:
            yield f"false finding in scenario {trial.scenario} ({trial.question})"
            yield from (f"    {finding}" for finding in trial.findings[:4])


async def show(console: Console, seed: int, number: int, budget: int) -> None:
    """One scenario: what is true, what was asked, the prompt, and which facts it lacks."""
    async with single(seed, number) as (scenario, database):
        for line in _truth(scenario):
            console.print(line, markup=False, highlight=False)
        for question in scenario.questions:
            built = await context_builder(scenario, database).build(
                QuestionInput(question=question, token_budget=budget)
            )
            console.rule(f"{question} ({budget:,} tokens)")
            console.print(message(built), markup=False, highlight=False, soft_wrap=True)
            for line in _verdicts(scenario, built):
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _truth(scenario: Scenario) -> Iterator[str]:
    scene = scenario.scene
    yield f"scenario {scenario.number}: {scenario.kind}; as of {scenario.as_of:%Y-%m-%d %H:%M:%S}"
    disturbances: list[Effect | Surge | Rollout] = [
        *scene.disturbances.effects,
        *scene.disturbances.surges,
        *scene.disturbances.rollouts,
    ]
    for item in disturbances[:8]:
        yield f"  {_compact(item)}"
    for onset in scene.onsets:
        yield f"  onset: {onset:%Y-%m-%d %H:%M:%S}, {scenario.as_of - onset} before"
    for name, requirement in named(scenario.requirements).items():
        yield f"  needed: {name}{' (causal)' if requirement.causal else ''}: {_described(requirement)}"


def _compact(item: Effect | Surge | Rollout) -> str:
    """What is not as usual in it."""
    usual = {field.name: field.default for field in fields(item)}
    told = []
    for name, default in usual.items():
        value = getattr(item, name)
        if isinstance(value, Slice):
            value = " ".join(str(sorted(v) if isinstance(v, frozenset) else v) for v in astuple(value) if v)
        if value != default:
            told.append(f"{name} {f'{value:%m-%d %H:%M:%S}' if isinstance(value, datetime) else value}")
    return f"{type(item).__name__.lower()}: {', '.join(told)}"


def _described(requirement: Requirement) -> str:
    if isinstance(requirement, Event):
        return " or ".join(" + ".join(sorted(words)) for words in requirement.alternatives)
    if isinstance(requirement, Onset):
        return f"{', '.join(f'{at:%m-%d %H:%M}' for at in requirement.moments)} +- {requirement.tolerance}"
    if isinstance(requirement, Symptom):
        told = (f"{' + '.join(sorted(s.words))} in {s.metric or s.terms}" for s in requirement.signs)
        return " or ".join(told)
    return requirement.name


def _verdicts(scenario: Scenario, built: BuiltContext) -> Iterator[str]:
    prompt = seen(scenario, built)
    for name, requirement in named(scenario.requirements).items():
        place = requirement.found(prompt)
        if place is not None:
            line = prompt.lines[place]
            yield f"HELD   {name}: [{line.prefix}{line.number}] {line.text}"
            continue
        yield f"FAILED {name}"
        if isinstance(requirement, Symptom):
            yield from _right_figures(requirement, prompt)
    if scenario.healthy:
        yield from (f"FALSE FINDING {finding}" for finding in findings(built.manifest))


def _right_figures(symptom: Symptom, prompt: Prompt) -> Iterator[str]:
    for sign in symptom.signs:
        figures = symptom.figures(sign, prompt.ledger, prompt.window)
        right = ", ".join(dict.fromkeys(f"{f.label} {f.value:.4g} {f.unit}".strip() for f in figures))
        yield f"       {' + '.join(sorted(sign.words))} with one of: {right or sign.terms}"
