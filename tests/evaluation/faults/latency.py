"""Deployments that become slow: at once, or little by little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models import ConfigChange
from tests.evaluation.faults.aftermath import change_or_image, follow
from tests.evaluation.faults.signs import change_event, job_event, of, onset, signs
from tests.evaluation.ledger import TOLERANCE, Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import Effect, Sent
from tests.evaluation.truth import Symptom
from tests.evaluation.world import HOUR, MINUTE

RAMP_KNOWN_BY = 0.4
"""A ramp may be noticed when this part of it is over."""


def step(scene: Scene, history: Sequence[Sent]) -> None:
    """Latency is a multiple of what it was, after a change of the deployment."""
    target = scene.busy(history)[0]
    began = scene.onset(of(target), scene.chance.uniform(70, 450), history)
    cause = change_or_image(scene, target, began)
    factor = scene.chance.uniform(1.8, 5)
    scene.disturbances.effects.append(Effect(where=of(target), start=began, slowdown=factor))
    word = scene.names.stem()
    scene.logs(
        target.public_id, (began, scene.as_of), "warning",
        lambda: f"slow generation on worker {word}-{scene.chance.randint(0, 9)}: queue depth over target", 5,
    )  # fmt: skip
    follow(scene, target, began, trouble="slow responses, latency over target")
    symptom = Symptom("latency", signs([target], Metric.LATENCY), (began, scene.as_of))
    event = change_event(cause) if isinstance(cause, ConfigChange) else job_event(cause)
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("latency", target))
    scene.onsets.append(began)


def ramp(scene: Scene, history: Sequence[Sent]) -> None:
    """Latency grows for hours, as with a leak; nothing was changed."""
    target = scene.busy(history)[0]
    began = scene.onset(of(target), scene.chance.uniform(200, 600), history)
    began = min(began, scene.as_of - 2 * HOUR)
    lasts = min(scene.chance.uniform(1.5, 5) * HOUR, (scene.as_of - began) * 0.8)
    factor = scene.chance.uniform(2.5, 5)
    scene.disturbances.effects.append(Effect(where=of(target), start=began, slowdown=factor, ramp=lasts))
    word = scene.names.stem()
    scene.logs(
        target.public_id, (began + 0.3 * lasts, scene.as_of), "warning",
        lambda: f"{word} cache at {scene.chance.randint(80, 99)} % of its memory, evicting", 8,
    )  # fmt: skip
    follow(scene, target, began + 0.5 * lasts, trouble="responses are getting slower")
    scene.hit(target, began)
    symptom = Symptom("latency", signs([target], Metric.LATENCY), (began, scene.as_of), causal=True)
    tolerance = max(TOLERANCE, RAMP_KNOWN_BY * lasts, 20 * MINUTE)
    moments = (began, began + RAMP_KNOWN_BY * lasts)
    scene.requirements += [symptom, replace(onset(symptom, moments=moments), tolerance=tolerance)]
    scene.complaints.append(Complaint("latency", target))
    scene.onsets.append(began)
