"""What an engineer on call would ask, in the words that come to mind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from random import Random

from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.world import DAY, HOUR, Deployed

_NAMED = {
    "latency": (
        "Why is {it} so slow{when}?", "{it} feels sluggish{when}, what changed?",
        "p95 of {it} is up{when} - why?",
        "customers say {it} takes forever{when}. what's going on?", "Latency regression on {it}{when}?",
    ),
    "errors": (
        "Why are requests to {it} failing{when}?", "What is causing the errors on {it}{when}?",
        "{it} throws errors{when}, any idea why?", "why did the failure rate of {it} go up{when}",
        "Is {it} ok? We see failed calls{when}.",
    ),
    "quality": (
        "Did answers from {it} get worse{when}?", "quality scores of {it} look bad{when}, why?",
        "What happened to the quality of {it}{when}?",
    ),
    "cost": (
        "Why can't {it} send requests{when}?", "{it} complains about rejected calls{when}, is it the budget?",
        "How much has {it} spent{when} and what went wrong?",
    ),
    "volume": (
        "Why do I see so few requests on {it}{when}?", "Is {it} getting any traffic{when}?",
        "Traffic on {it} looks odd{when}, what happened?",
    ),
    "health": (
        "Is {it} down{when}?", "What's the state of {it}{when}?", "Why is {it} unhealthy{when}?",
        "{it} keeps alerting{when}, is it a real outage?",
    ),
}  # fmt: skip
_VAGUE = {
    "latency": ("Why is everything slow{when}?", "Users complain about slow answers{when}, what is it?"),
    "errors": ("Why did errors go up{when}?", "What is failing{when} and why?"),
    "quality": ("Did answer quality change{when}?", "Support says answers got worse{when}. Why?"),
    "cost": ("Who ran out of budget{when}?", "Why are some users being rejected{when}?"),
    "volume": ("Why did traffic drop{when}?", "The request graph looks odd{when}, what happened?"),
    "health": ("Which deployments are unhealthy{when}?", "Is there an outage{when}?"),
}
_GENERAL = (
    "What is wrong right now?", "Is anything broken{when}?", "anything I should look at{when}?",
    "I just got paged. What's going on?", "What changed{when}?", "Give me a status of the gateway{when}.",
)  # fmt: skip
_TWO_QUESTIONS = 0.6


def questions(scene: Scene) -> tuple[str, ...]:
    """One or two questions about a scenario: as a rule one that names something and one that is vague."""
    chance = scene.chance
    complaint = chance.choice(scene.complaints) if scene.complaints else _idle(scene)
    onset = min(scene.onsets, default=scene.as_of - chance.uniform(1, 12) * HOUR)
    asked = [
        _phrase(chance, chance.choice(_NAMED[complaint.subject]), complaint, onset, scene.as_of),
        _phrase(
            chance, chance.choice((*_VAGUE[complaint.subject], *_GENERAL)), complaint, onset, scene.as_of
        ),
    ]
    if len(scene.complaints) > 1:
        # Naming one of two faults does not ask for the other.
        return (_phrase(chance, chance.choice(_GENERAL), complaint, onset, scene.as_of),)
    return tuple(asked) if chance.random() < _TWO_QUESTIONS else (chance.choice(asked),)


def _idle(scene: Scene) -> Complaint:
    subject = scene.chance.choice(("latency", "errors", "health", "volume"))
    return Complaint(subject, scene.chance.choice(scene.world.deployments))


def _phrase(chance: Random, template: str, complaint: Complaint, onset: datetime, as_of: datetime) -> str:
    when = chance.choice(list(_whens(chance, onset, as_of)))
    return template.format(it=_name(chance, complaint), when=f" {when}" if when else "")


def _name(chance: Random, complaint: Complaint) -> str:
    if complaint.user:
        return complaint.user
    if complaint.deployed is not None:
        deployed: Deployed = complaint.deployed
        return chance.choice(
            (deployed.public_id, deployed.public_id, f"{deployed.model} on {deployed.backend}")
        )
    return f"{complaint.tier} traffic" if complaint.tier else "the gateway"


def _whens(chance: Random, onset: datetime, as_of: datetime) -> Iterator[str]:
    """Phrases for a window that the onset lies in; no phrase at all is as likely as two of them."""
    yield from ("", "")
    hours = (as_of - onset) / HOUR
    yield f"in the last {int(hours) + chance.randint(2, 4)} hours"
    if onset.date() == as_of.date():
        yield "today"
        if onset.hour >= 7 and as_of - onset > HOUR:
            yield f"since {max(0, onset.hour - 1):02}:30"
        if 6 <= onset.hour < 12:
            yield "this morning"
    elif as_of.date() - onset.date() <= DAY:
        yield "since yesterday"
