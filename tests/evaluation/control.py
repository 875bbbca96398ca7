"""How often a needed fact is found where it cannot be: the measure of how loose the predicates are."""

from __future__ import annotations

from rich.console import Console

from context_builder.question.request import QuestionInput
from tests.evaluation.faults.kinds import HEALTHY, KINDS
from tests.evaluation.runner import single
from tests.evaluation.scenario import PER_WORLD, Base, Scenario, make_scenario
from tests.evaluation.trial import context_builder, named, seen


async def control(console: Console, seed: int, world: int, budget: int) -> None:
    """Asks the questions of a world's faults in its healthy scenario, and prints what seems to be held."""
    scenarios = _scenarios(seed, world)
    healthy = world * PER_WORLD + list(KINDS).index(HEALTHY)
    needed = held = 0
    async with single(seed, healthy) as (calm, database):
        for scenario in scenarios:
            for question in scenario.questions:
                built = await context_builder(calm, database).build(
                    QuestionInput(question=question, token_budget=budget)
                )
                prompt = seen(scenario, built)
                for name, requirement in named(scenario.requirements).items():
                    needed += 1
                    place = requirement.found(prompt)
                    if place is not None:
                        held += 1
                        line = prompt.lines[place]
                        text = f"{scenario.kind}, {name}: [{line.prefix}{line.number}] {line.text}"
                        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{held} of {needed} facts seem to be held where nothing is wrong", highlight=False)


def _scenarios(seed: int, world: int) -> list[Scenario]:
    base = Base(seed, world)
    return [make_scenario(base, number) for number in range(world * PER_WORLD, (world + 1) * PER_WORLD)]
