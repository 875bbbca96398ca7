"""Deployments that are not there: a failure that spreads, one that comes and goes, and planned work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tests.evaluation.faults.aftermath import follow
from tests.evaluation.faults.signs import job_event, log_event, of, onset, signs, words_of
from tests.evaluation.ledger import Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import Effect, Sent
from tests.evaluation.truth import Event, Onset, Sign, Symptom, plain, times
from tests.evaluation.world import HOUR, MINUTE

_DRAINED = 0.5
_TURNS = r"changes|transitions|flaps|turns|status"


def cascade(scene: Scene, history: Sequence[Sent]) -> None:
    """A deployment goes down, its requests fall back to another, and that one cannot bear them."""
    chance = scene.chance
    first, second = sorted(scene.busy(history)[:2], key=lambda d: -scene.share(of(d), history))
    began = scene.onset(of(first), chance.uniform(80, 350), history)
    breaker = began + chance.uniform(3, 8) * MINUTE
    strained = began + chance.uniform(1, 6) * MINUTE
    scene.disturbances.effects += [
        Effect(where=of(first), start=breaker, divert_to=(second.public_id,), diverted=0.85),
        Effect(
            where=of(first), start=began, failing=0.95, errors=(("error", "503"),), retry_on=second.public_id
        ),
        Effect(
            where=of(second), start=strained, slowdown=chance.uniform(2, 3.5),
            failing=chance.uniform(0.05, 0.15), errors=(("rate_limited", "429"),),
        ),
    ]  # fmt: skip
    word = scene.names.stem()
    scene.logs(
        first.public_id, (began, scene.as_of), "critical", lambda: f"503: node {word} lost its devices", 8
    )
    scene.logs(second.public_id, (strained, scene.as_of), "warning", lambda: "queue depth over target", 6)
    event = log_event("the log's reason", began, word, causal=True)
    if chance.random() < _DRAINED:
        detail = f"drain node {word} for repair"
        event = job_event(scene.job("drain", first.public_id, began - 30 * timedelta(seconds=1), detail))
    scene.transition(first, began + chance.uniform(0.5, 3) * MINUTE, "down", "no healthy replica")
    follow(scene, second, strained, trouble="queue is full")
    scene.hit(first, began)
    span = (began, scene.as_of)
    down = Symptom(
        "the deployment that went down",
        (Sign(words_of(first), of(first), Metric.ERRORS, terms=r"\bdown\b"),),
        span, table="state_transitions", row=f"{first.public_id}|down",
    )  # fmt: skip
    felt = Symptom(
        "the deployment it fell back to", signs([second], Metric.LATENCY, Metric.ERRORS, Metric.VOLUME), span
    )
    scene.requirements += [down, felt, event, onset(down)]
    scene.complaints.append(Complaint("latency", second))
    scene.onsets.append(began)


def flapping(scene: Scene, history: Sequence[Sent]) -> None:
    """A deployment goes down and comes back every few minutes."""
    chance = scene.chance
    target = scene.busy(history)[0]
    began = min(scene.onset(of(target), chance.uniform(120, 400), history), scene.as_of - 50 * MINUTE)
    at, transitions = began, 0
    while at < scene.as_of:
        back = at + chance.uniform(3, 8) * MINUTE
        scene.disturbances.effects.append(
            Effect(where=of(target), start=at, end=back, failing=0.85, errors=(("error", "503"),))
        )
        scene.transition(target, at, "down", "health check failed")
        transitions += 1
        if back < scene.as_of:
            scene.transition(target, back, "healthy", "health check passed")
            transitions += 1
        at = back + chance.uniform(4, 11) * MINUTE
    word = scene.names.stem()
    scene.logs(
        target.public_id,
        (began, scene.as_of),
        "error",
        lambda: f"liveness probe of {word} failed, restarting",
        12,
    )
    scene.notify(began + 9 * MINUTE, f"{target.public_id} is flapping", deployment_id=target.id)
    scene.hit(target, began)
    counts = tuple(
        figure for count in (transitions, transitions / 2) for figure in (plain(count, _TURNS), times(count))
    )
    symptom = Symptom(
        "flapping",
        (Sign(words_of(target), of(target), Metric.ERRORS, counts),),
        (began, scene.as_of), causal=True,
    )  # fmt: skip
    reason = log_event("the log's reason", began, word, causal=False)
    scene.requirements += [symptom, reason, onset(symptom)]
    scene.complaints.append(Complaint("health", target))
    scene.onsets.append(began)


def maintenance(scene: Scene, history: Sequence[Sent]) -> None:
    """Announced work on a backend: its deployments are drained and down, and nothing is wrong."""
    chance = scene.chance
    backend = chance.choice(scene.world.backends)
    hit = scene.world.on_backend(backend)
    others = tuple(d.public_id for d in scene.world.deployments if d.backend != backend)
    began = scene.as_of - chance.uniform(0.4, 4) * HOUR
    word = scene.names.stem()
    scene.maintenance(backend, began, scene.as_of + 2 * HOUR, began - 30 * HOUR, f"{word} switch replacement")
    scene.disturbances.effects.append(Effect(where=of(*hit), start=began, divert_to=others))
    for deployed in hit:
        scene.job("drain", deployed.public_id, began - 3 * MINUTE, "evict sessions, then drain")
        scene.transition(deployed, began + chance.uniform(0, 2) * MINUTE, "down", "no answer")
        scene.notify(began + 3 * MINUTE, f"{deployed.public_id} is down", deployment_id=deployed.id)
        scene.hit(deployed, began - HOUR)
    planned = Event(
        "the maintenance window", began, (frozenset({word, backend}), frozenset({"maintenance", backend})),
        "maintenance_windows", word,
    )  # fmt: skip
    down = Symptom(
        "what is down",
        tuple(Sign(words_of(one), of(one), terms=r"\bdown\b") for one in hit),
        (began, scene.as_of), table="state_transitions", row=f"{hit[0].public_id}|down",
    )  # fmt: skip
    scene.requirements += [planned, down, Onset("start of the maintenance", (began,), down)]
    scene.complaints.append(Complaint("health", hit[0]))
    scene.onsets.append(began)
