"""Answers that become worse, which shows hours later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.evaluation.faults.signs import job_event, of, onset, signs
from tests.evaluation.ledger import Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import SCORED, Effect, Sent
from tests.evaluation.truth import Symptom
from tests.evaluation.world import HOUR, MINUTE

_SCORES_TAKE = 6 * HOUR
_BUCKETS = 75 * MINUTE
"""Scores are kept by the hour in which their requests were made."""


def drop(scene: Scene, history: Sequence[Sent]) -> None:
    """A new model image scores lower; neither latency nor errors change."""
    target = scene.busy(history, 0.12)[0]
    began = scene.onset(of(target), scene.chance.uniform(110, 250) / SCORED, history)
    began = max(scene.as_of - 20 * HOUR, began - 0.5 * _SCORES_TAKE)
    job = scene.job(
        "image_update", target.public_id, began - MINUTE, f"{target.version} -> {scene.names.version()}"
    )
    loss = scene.chance.uniform(0.16, 0.35)
    scene.disturbances.effects.append(Effect(where=of(target), start=began, quality_loss=loss))
    scene.hit(target, began)
    symptom = Symptom("quality", signs([target], Metric.QUALITY), (began, scene.as_of))
    event = job_event(job)
    scene.requirements += [symptom, event, replace(onset(symptom), tolerance=_BUCKETS)]
    scene.complaints.append(Complaint("quality", target))
    scene.onsets.append(began)
