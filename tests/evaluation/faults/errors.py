"""Deployments whose requests fail: a burst of one code, too little capacity, a setting that is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from models import ConfigChange
from tests.evaluation.faults.aftermath import change_or_image, follow
from tests.evaluation.faults.signs import change_event, group_signs, job_event, log_event, of, onset, signs
from tests.evaluation.ledger import Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import Effect, Sent
from tests.evaluation.truth import Event, Symptom
from tests.evaluation.world import HOUR

_BURST_OVER = 0.25
"""Share of the bursts that have ended by themselves."""
_CHANGED = 0.6
"""Share of the bursts that a recorded change explains; of the others only the log says why."""


def _wanted(scene: Scene, failing: float, most: float = 450) -> float:
    """Enough requests that some forty of them fail."""
    return max(70.0, 45 / failing, scene.chance.uniform(70, most))


def burst(scene: Scene, history: Sequence[Sent]) -> None:
    """One error code comes back for a good part of a deployment's requests."""
    target = scene.busy(history, 0.12)[0]
    failing = scene.chance.uniform(0.08, 0.6)
    began = scene.onset(of(target), _wanted(scene, failing), history)
    over = scene.chance.random() < _BURST_OVER and scene.as_of - began > 3 * HOUR
    ended = began + 0.7 * (scene.as_of - began) if over else scene.as_of
    code = scene.chance.choice(("500", "502", "503", "520"))
    scene.disturbances.effects.append(
        Effect(where=of(target), start=began, end=ended, failing=failing, errors=(("error", code),))
    )
    word = scene.names.stem()
    scene.logs(
        target.public_id, (began, ended), "error",
        lambda: f"{code}: {word} handshake refused by worker {scene.chance.randint(0, 63)}", 20 * failing + 4,
    )  # fmt: skip
    symptom = Symptom("errors", signs([target], Metric.ERRORS), (began, ended))
    event: Event
    if scene.chance.random() < _CHANGED:
        cause = change_or_image(scene, target, began)
        event = change_event(cause) if isinstance(cause, ConfigChange) else job_event(cause)
    else:
        event = log_event("the log's reason", began, word, causal=True)
    follow(scene, target, began, trouble=f"{code} errors above threshold")
    if over and scene.standing(target).status == "degraded":
        scene.transition(target, ended, "healthy", "error rate back to normal")
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("errors", target))
    scene.onsets.append(began)


def capacity(scene: Scene, history: Sequence[Sent]) -> None:
    """Replicas are gone: requests are turned away, and those that are not wait."""
    target = scene.busy(history)[0]
    failing = scene.chance.uniform(0.15, 0.45)
    began = scene.onset(of(target), _wanted(scene, failing), history)
    before = scene.chance.randint(5, 12)
    after = max(1, round(before * scene.chance.uniform(0.2, 0.45)))
    job = scene.job("scale", target.public_id, began, f"{before} -> {after} replicas")
    scene.capacity[target.public_id] = max(1, round(target.capacity_rpm * after / before))
    scene.audit(target.public_id, began, job.created_by or "", "deployment.scale", job.detail)
    scene.disturbances.effects.append(
        Effect(
            where=of(target), start=began, failing=failing, errors=(("rate_limited", "429"),),
            slowdown=scene.chance.uniform(1.4, 2.4),
        )
    )  # fmt: skip
    word = scene.names.stem()
    scene.logs(
        target.public_id,
        (began, scene.as_of),
        "error",
        lambda: f"429: no free slot in {word} pool",
        20 * failing,
    )
    follow(scene, target, began, trouble="rate limited, queue is full")
    symptom = Symptom("capacity", signs([target], Metric.ERRORS, Metric.LATENCY), (began, scene.as_of))
    event = job_event(job)
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("errors", target))
    scene.onsets.append(began)


def configuration(scene: Scene, history: Sequence[Sent]) -> None:
    """A timeout set too short, for one deployment, for all of a model or for all of a backend."""
    first = scene.busy(history)[0]
    target = scene.chance.choice((first.public_id, first.model, first.backend))
    hit = [d for d in scene.world.deployments if target in (d.public_id, d.model, d.backend)]
    failing = scene.chance.uniform(0.12, 0.5)
    began = scene.onset(of(*hit), _wanted(scene, failing), history)
    cause = scene.config(
        target, began, scene.names.parameter(), "30000", str(scene.chance.randint(8, 30) * 100)
    )
    scene.disturbances.effects.append(
        Effect(where=of(*hit), start=began, failing=failing, errors=(("timeout", "504"),))
    )
    for deployed in hit:
        scene.logs(
            deployed.public_id, (began, scene.as_of), "error",
            lambda: f"504: upstream gave no answer within {cause.new_value} ms", 15 * failing,
        )  # fmt: skip
        follow(scene, deployed, began, trouble="timeouts above threshold")
    told = signs(hit, Metric.ERRORS) if len(hit) == 1 else group_signs(scene.world, target, Metric.ERRORS)
    symptom = Symptom("timeouts", told, (began, scene.as_of))
    event = change_event(cause)
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("errors", first))
    scene.onsets.append(began)
