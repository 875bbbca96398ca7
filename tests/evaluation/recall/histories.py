"""Half a year of incidents of a gateway, drawn from a name, with recurrences and what never came back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from memory.text.recipe import IncidentFacts, query_text
from tests.evaluation.names import Names, stream
from tests.evaluation.recall.catalogue import Family, remarks, unrelated_questions
from tests.evaluation.recall.corpus import Corpus, LabelledQuery, PastIncident

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 180.0
_TARGETS = 14
_ONCE = 0.25
"""Share of the families that never come back: in published operations data a quarter of the causes is new."""
_SOON = 0.938
"""Share of the recurrences that come within _SOON_DAYS, in the same data."""
_SOON_DAYS = 20.0
_SAME_TARGET = 0.65
_NEWCOMERS = 0.12
"""Share of the incidents that are told in words kept for them; half of the queries are about such."""
_WITH_LINE = 0.6
_QUERIES_PER_FAMILY = 6
_NOTICED = timedelta(minutes=4)

_IDENTIFIER = re.compile(r"user_[0-9a-f]{6}|\b[0-9a-f]{8}\b")
_ASKED_BY_IDENTIFIER = (
    "Have we had an incident with {} before?",
    "What do we know about {}?",
    "Did {} show up in the log of a past incident?",
)


@dataclass(frozen=True, slots=True)
class _Occurrence:
    family: Family
    target: str
    began: float
    """Days after the beginning."""
    newcomer: bool
    """Told by somebody who words things unlike all others."""


def make_history(
    name: str, *, present: Sequence[Family], asked_about: Sequence[Family], incidents: int = 1_000
) -> Corpus:
    """About `incidents` incidents of the families present, and queries on those asked about.

    The name is the seed: equal names and families make equal histories.
    """
    chance = stream("recall", name)
    names = Names(chance)
    models = [names.model() for _ in range(6)]
    backends = [names.backend() for _ in range(4)]
    deployments = [f"{model}/{backend}" for model in models for backend in backends]
    targets = chance.sample(deployments, _TARGETS)
    happened = sorted(_occurrences(chance, present, targets, incidents), key=lambda one: one.began)
    teller = _Teller(chance, names)
    past = tuple(teller.incident(number, one) for number, one in enumerate(happened))
    queries = tuple(_queries(chance, happened, past, asked_about))
    return Corpus(name, past, queries)


def _occurrences(
    chance: Random, present: Sequence[Family], targets: Sequence[str], incidents: int
) -> Iterator[_Occurrence]:
    """Few families come back often, many seldom, some never."""
    order = chance.sample(present, len(present))
    once = round(_ONCE * len(order))
    shares = [0.0] * once + [1 / (1 + place) ** 0.6 for place in range(len(order) - once)]
    for family, share in zip(order, shares, strict=True):
        wanted = max(2, round(incidents * share / sum(shares))) if share else 1
        at, target = chance.uniform(0, _DAYS), chance.choice(targets)
        for _ in range(wanted):
            yield _Occurrence(family, target, at, newcomer=chance.random() < _NEWCOMERS)
            soon = chance.random() < _SOON
            at += min(_SOON_DAYS, chance.expovariate(1 / 5)) if soon else chance.uniform(_SOON_DAYS, _DAYS)
            at %= _DAYS
            if chance.random() >= _SAME_TARGET:
                target = chance.choice(targets)


class _Teller:
    """Writes incidents down as hurried people do: each in other words, with the figures of the day."""

    def __init__(self, chance: Random, names: Names) -> None:
        self._chance = chance
        self._regions = [f"{names.stem(2)}-{side}-{n}" for side in ("east", "west") for n in (1, 2)]
        self._hosts = [f"{names.stem(2)}-{n:02}" for n in range(12)]
        self._kept: dict[str, int] = {}

    def incident(self, number: int, one: _Occurrence) -> PastIncident:
        chance, family = self._chance, one.family
        titles, told = self._wordings(one)
        symptoms = chance.sample(told, min(len(told), chance.choice((1, 1, 2))))
        symptoms += chance.sample(remarks(), chance.choice((0, 0, 1, 2)))
        if chance.random() < _WITH_LINE:
            symptoms.append(family.lines[one.newcomer])
        began = _BEGIN + timedelta(days=one.began)
        return PastIncident(
            public_id=f"inc_{number:05}",
            facts=IncidentFacts(
                title=self._filled(chance.choice(titles), one.target),
                symptoms=self._filled(". ".join(symptoms), one.target),
                target=one.target,
                root_cause=self._filled(chance.choice(family.causes), one.target),
                resolution=self._filled(chance.choice(family.fixes), one.target),
            ),
            started_at=began,
            resolved_at=began + timedelta(minutes=chance.uniform(8, 400)),
        )

    def _wordings(self, one: _Occurrence) -> tuple[list[str], list[str]]:
        """Titles and symptoms to choose from: one of each is kept for newcomers."""
        family = one.family
        kept = self._kept.setdefault(family.name, self._chance.randrange(len(family.titles)))
        return (
            [title for at, title in enumerate(family.titles) if (at == kept) == one.newcomer],
            [symptom for at, symptom in enumerate(family.symptoms) if (at == kept) == one.newcomer],
        )

    def _filled(self, text: str, target: str) -> str:
        """Each slot again, even twice in one text."""
        model, backend = target.split("/")
        chance = self._chance
        drawn: dict[str, Callable[[], str]] = {
            "{target}": lambda: target,
            "{model}": lambda: model,
            "{backend}": lambda: backend,
            "{n}": lambda: str(chance.randint(2, 60)),
            "{big}": lambda: str(chance.randint(900, 250_000)),
            "{pct}": lambda: str(chance.randint(4, 96)),
            "{ms}": lambda: str(chance.randint(12, 600) * 50),
            "{s}": lambda: str(chance.choice((15, 20, 30, 45, 60, 75, 90))),
            "{ver}": lambda: f"v{chance.randint(1, 9)}.{chance.randint(0, 40)}.{chance.randint(0, 9)}",
            "{hex}": lambda: f"{chance.getrandbits(32):08x}",
            "{region}": lambda: chance.choice(self._regions),
            "{host}": lambda: chance.choice(self._hosts),
            "{user}": lambda: f"user_{chance.getrandbits(24):06x}",
        }
        for slot, draw in drawn.items():
            while slot in text:
                text = text.replace(slot, draw(), 1)
        return text


def _queries(
    chance: Random,
    happened: Sequence[_Occurrence],
    past: Sequence[PastIncident],
    asked_about: Sequence[Family],
) -> Iterator[LabelledQuery]:
    for family in asked_about:
        places = [at for at, one in enumerate(happened) if one.family is family]
        for place in [places[0], *_recurrences(chance, happened, places[1:])]:
            yield _about_incident(family, places, place, past)
        for text in family.questions:
            yield _question(chance, family, text, places, past)
        yield from _by_identifier(chance, family, places, past)
    for text in unrelated_questions():
        as_of = _BEGIN + timedelta(days=chance.uniform(0.3 * _DAYS, _DAYS))
        yield LabelledQuery(kind="question", group=text, text=text, as_of=as_of, relevant=frozenset())


def _recurrences(chance: Random, happened: Sequence[_Occurrence], places: Sequence[int]) -> list[int]:
    """Half of them told by newcomers, as far as there are any."""
    unusual = [place for place in places if happened[place].newcomer]
    usual = [place for place in places if not happened[place].newcomer]
    half = _QUERIES_PER_FAMILY // 2
    return sorted(place for some in (unusual, usual) for place in chance.sample(some, min(half, len(some))))


def _about_incident(
    family: Family, places: Sequence[int], place: int, past: Sequence[PastIncident]
) -> LabelledQuery:
    asked = past[place]
    facts = asked.facts
    as_of = asked.started_at + _NOTICED
    return LabelledQuery(
        kind="open incident",
        group=family.name,
        text=query_text(title=facts.title, symptoms=facts.symptoms, target=facts.target),
        target=facts.target,
        as_of=as_of,
        relevant=_over(places, past, as_of),
        own=place,
    )


def _question(
    chance: Random, family: Family, text: str, places: Sequence[int], past: Sequence[PastIncident]
) -> LabelledQuery:
    """Asked at any time, so sometimes before it has happened for the first time."""
    as_of = _BEGIN + timedelta(days=chance.uniform(0.1 * _DAYS, _DAYS))
    relevant = _over(places, past, as_of)
    return LabelledQuery(kind="question", group=family.name, text=text, as_of=as_of, relevant=relevant)


def _by_identifier(
    chance: Random, family: Family, places: Sequence[int], past: Sequence[PastIncident]
) -> Iterator[LabelledQuery]:
    """Asked by an id, a version or a user of one incident, or by one that nothing has."""
    named = [(place, one) for place in places for one in _IDENTIFIER.findall(past[place].text)]
    if not named:
        return
    place, identifier = chance.choice(named)
    unknown = f"{chance.getrandbits(32):08x}"
    for one in (identifier, unknown):
        as_of = past[place].resolved_at + timedelta(days=chance.uniform(0.1, 60))
        holding = [at for at, other in enumerate(past) if one in other.text]
        yield LabelledQuery(
            kind="identifier",
            group=family.name,
            text=chance.choice(_ASKED_BY_IDENTIFIER).format(one),
            as_of=as_of,
            relevant=_over(holding, past, as_of),
        )


def _over(places: Sequence[int], past: Sequence[PastIncident], as_of: datetime) -> frozenset[int]:
    return frozenset(place for place in places if past[place].resolved_at < as_of)
