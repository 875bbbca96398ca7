"""One scenario: a world, its last day with a fault, the questions about it and the facts that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from tests.evaluation.decoys import add_decoys
from tests.evaluation.faults.kinds import HEALTHY, KINDS
from tests.evaluation.ledger import Ledger
from tests.evaluation.names import stream
from tests.evaluation.question import questions
from tests.evaluation.scene import Scene, empty_scene
from tests.evaluation.traffic import Disturbances, Sent, generate, ordinary_noise
from tests.evaluation.truth import Requirement
from tests.evaluation.world import World, make_world

PER_WORLD = len(KINDS)


class Base:
    """A world with the history that its scenarios share, and the daily budgets that suit it."""

    def __init__(self, seed: int, number: int) -> None:
        self.world: World = make_world(seed, number)
        start, end = self.world.history_start, self.world.history_end
        noise = Disturbances(ordinary_noise(self.world, start, end))
        self.history = generate(self.world, stream(self.world.name, "history"), start, end, noise)

    @cached_property
    def budgets(self) -> dict[str, Decimal]:
        """Ample daily budgets of the users that have one."""
        chance = stream(self.world.name, "budgets")
        ample = {}
        for account in self.world.accounts:
            daily: dict[object, Decimal] = {}
            for sent in self.history:
                if sent.account is account:
                    daily[sent.moment.date()] = daily.get(sent.moment.date(), Decimal(0)) + sent.cost_usd
            most = max(daily.values(), default=Decimal(1))
            factor = Decimal(str(round(chance.uniform(2.2, 5), 2)))
            if account.limited:
                ample[account.public_id] = (most * factor).quantize(Decimal("0.01")) + Decimal("0.05")
        return ample


@dataclass(frozen=True)
class Scenario:
    """What is written and what is true."""

    number: int
    scene: Scene
    last_day: Sequence[Sent]
    ledger: Ledger
    questions: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of fault."""
        return self.scene.kind

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return self.kind == HEALTHY

    @property
    def as_of(self) -> datetime:
        """The moment asked about."""
        return self.scene.as_of

    @property
    def requirements(self) -> Sequence[Requirement]:
        """The facts that a right answer needs."""
        return self.scene.requirements

    @cached_property
    def scored(self) -> list[Sent]:
        """Requests whose scores have arrived since the history that all scenarios share."""
        before = self.scene.world.history_end
        return [
            s for s in self.ledger.requests if s.scored_at is not None and before < s.scored_at <= self.as_of
        ]

    @cached_property
    def exhausted(self) -> Decimal | None:
        """The budget that a user has just used up, where the fault is that."""
        if self.scene.enforcement is None:
            return None
        account, gone = self.scene.enforcement
        midnight = gone.replace(hour=0, minute=0, second=0, microsecond=0)
        spent = sum(
            (s.cost_usd for s in self.ledger.requests if s.account is account and s.moment >= midnight),
            Decimal(0),
        )
        return (spent * Decimal("0.998")).quantize(Decimal("0.000001"))


def make_scenario(base: Base, number: int) -> Scenario:
    """The scenario of a world that has this number, counted over all worlds."""
    world = base.world
    scene = empty_scene(world, list(KINDS)[number % PER_WORLD])
    KINDS[scene.kind](scene, base.history)
    add_decoys(scene)
    noise = ordinary_noise(world, world.history_end, scene.as_of)
    disturbed = Disturbances(
        [*scene.disturbances.effects, *noise], scene.disturbances.surges, scene.disturbances.rollouts
    )
    traffic = stream(world.name, scene.kind, "traffic")
    last_day = generate(world, traffic, world.history_end, scene.as_of, disturbed)
    known = [_as_known(sent, scene.as_of) for sent in (*base.history, *last_day)]
    return Scenario(number, scene, last_day, Ledger(known, scene.as_of), questions(scene))


def _as_known(sent: Sent, as_of: datetime) -> Sent:
    """A request with its score, if that has arrived."""
    if sent.scored_at is None or sent.scored_at <= as_of:
        return sent
    sent.score = sent.scored_at = None
    return sent
