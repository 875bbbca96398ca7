"""A change as a prompt tells it: metric, direction, slice, size and time, read from the text of a fact."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from context_builder.prompt.manifest import FactEntry, Manifest
from tests.evaluation.worlds.gateway import Slice

EVERYTHING = Slice()
FINDERS = ("changes", "drivers")
_METRICS = {
    "responses": "latency",
    "failure rate": "errors",
    "request volume": "volume",
    "cost": "cost",
    "quality scores": "quality",
}
_UP = ("rose", "slowed down", "improved")
_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d"
_EVENT = re.compile(_TIME)
"""An event names its own time first."""
_CALM = "Nothing is broken: "
_HARMLESS = "only the traffic changed: "
_HEAD = re.compile(
    rf"(?:(?P<what>{'|'.join(_METRICS)}) (?P<way>rose|fell|slowed down|sped up|dropped|improved)"
    rf"|NO REQUESTS were recorded) "
    rf"(?:since (?P<since>{_TIME})|from (?P<begin>{_TIME}) until (?P<end>{_TIME}))"
)
_TIER_OF = re.compile(r"\bthe tier of user ([\w./:@-]*\w)")
_NAMES = re.compile(r"\b(deployment|model|backend|region|tier|user|task type) ([\w./:@-]*\w)")
_TIMES = re.compile(r"([\d,.]+) times(?: the usual latency| normal| what it was|\))")
_FAILED = re.compile(r"failed \(([\d.]+) %\) since then|([\d.]+) % of [\d,]+ requests? failed")
_SCORES = re.compile(r"score ([\d.]+) over [\d,]+ scores?(?: since then)?, (?:usually )?([\d.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldChange:
    """What one fact claims."""

    ref: str
    metric: str
    up: bool
    where: Slice
    size: float | None
    """As in `TrueChange`; None where the fact has no figure of that kind."""
    begin: datetime
    end: datetime | None
    text: str


def told_changes(manifest: Manifest, tiers: Mapping[str, str]) -> list[ToldChange]:
    """Read all changes that a prompt shows; their slices lie within the scope of the question.

    `tiers` are those of the users: a question about one is answered for the tier of this user.
    """
    scope = slice_of(" ".join(f"the tier of {name}" for name in manifest.scope if "user " in name), tiers)
    scope = scope if scope.values else slice_of(", ".join(manifest.scope), tiers)
    facts = (fact for fact in manifest.facts if _tells_of_a_change(fact))
    return [told for fact in facts if (told := told_change(fact, tiers, scope)) is not None]


def unread(manifest: Manifest) -> list[str]:
    """The facts of changes that cannot be read: their wording is new, and every figure is in doubt."""
    facts = (fact for fact in manifest.facts if _tells_of_a_change(fact))
    return [fact.text for fact in facts if told_change(fact, {}) is None]


def _tells_of_a_change(fact: FactEntry) -> bool:
    return fact.source in FINDERS and fact.is_shown and not _is_other(fact.text)


def _is_other(text: str) -> bool:
    """Whether a fact tells of an event, of other traffic, or that nothing is broken."""
    return bool(_EVENT.match(text)) or says_nothing_is_broken([text]) or tells_of_traffic([text])


def tells_of_traffic(facts: Sequence[str]) -> bool:
    """Whether one of the shown facts says of a change that it is only one of the traffic."""
    return any(_HARMLESS in text for text in facts)


def says_nothing_is_broken(facts: Sequence[str]) -> bool:
    """Whether one of the shown facts says that only the traffic changed."""
    return any(text.startswith(_CALM) for text in facts)


def told_change(fact: FactEntry, tiers: Mapping[str, str], scope: Slice = EVERYTHING) -> ToldChange | None:
    """Read one fact; None if its wording is that of no change."""
    found = None if _is_other(fact.text) else _HEAD.search(fact.text)
    if found is None:
        return None
    named, rest = fact.text[: found.start()], fact.text[found.end() :]
    if fact.source == "drivers":
        named = "" if "no single slice" in rest else rest.partition(";")[0]
    metric = _METRICS[found["what"]] if found["what"] else "volume"
    return ToldChange(
        ref=fact.ref,
        metric=metric,
        up=found["way"] in _UP,
        where=replace(scope, **slice_of(named, tiers).values),
        size=_size(metric, rest) if found["way"] else 0.0,
        begin=_time(found["since"] or found["begin"]),
        end=_time(found["end"]) if found["end"] else None,
        text=fact.text,
    )


def shown_facts(manifest: Manifest) -> list[str]:
    """The facts that a prompt shows of this question, the most useful first."""
    return [fact.text for fact in manifest.facts if fact.is_shown and not fact.stable]


def rank_of(alternatives: Sequence[Sequence[str]], facts: Sequence[str]) -> int | None:
    """The place, from 1, of the first fact with all words of an alternative."""
    places = (
        place
        for place, text in enumerate(facts, start=1)
        if any(all(word in text for word in words) for words in alternatives)
    )
    return next(places, None)


def slice_of(text: str, tiers: Mapping[str, str]) -> Slice:
    """Read the names in a text; several deployments are what they have in common."""
    text = _TIER_OF.sub(lambda found: f"tier {tiers.get(found[1], '')}", text)
    values: dict[str, list[str]] = {}
    for kind, name in _NAMES.findall(text):
        values.setdefault(kind.replace("task type", "task"), []).append(name)
    several = values.get("deployment", [])
    if len(several) > 1:
        del values["deployment"]
        for dimension, place in (("model", 0), ("backend", 2)):
            parts = {name.partition("/")[place] for name in several}
            values |= {dimension: list(parts)} if len(parts) == 1 else {}
    return Slice(**{dimension: names[0] for dimension, names in values.items()})


def _size(metric: str, text: str) -> float | None:
    if metric == "errors":
        shares = _FAILED.search(text)
        return float(shares[1] or shares[2]) / 100 if shares else None
    if metric == "quality":
        scores = _SCORES.search(text)
        return float(scores[1]) - float(scores[2]) if scores else None
    if metric == "volume" and ": none, usually" in text:
        return 0.0
    times = _TIMES.search(text)
    return float(times[1].replace(",", "")) if times else None


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
