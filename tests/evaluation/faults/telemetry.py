"""A hole in what was recorded, though all requests were served."""

from __future__ import annotations

from collections.abc import Sequence

from tests.evaluation.faults.signs import job_event, of, onset, words_of
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import Effect, Sent
from tests.evaluation.truth import Sign, Symptom
from tests.evaluation.world import HOUR, MINUTE

_NOTHING = (
    r"no requests|no data|\bgap\b|\bstale|\bmissing\b|silent|nothing (?:was )?(?:recorded|logged)|stopped"
)


def gap(scene: Scene, history: Sequence[Sent]) -> None:
    """The collector of a backend fails to start after an update: nothing of its deployments is recorded."""
    chance = scene.chance
    sizes = {name: scene.share(of(*scene.world.on_backend(name)), history) for name in scene.world.backends}
    backend = max(sizes, key=lambda name: sizes[name])
    hit = scene.world.on_backend(backend)
    began = scene.as_of - chance.uniform(1.2, 4) * HOUR
    while scene.world.rate(began) * sizes[backend] * ((scene.as_of - began) / MINUTE) < 70:
        began -= 10 * MINUTE
    collector = f"collector-{scene.names.stem()}"
    job = scene.job(
        "image_update", collector, began, f"{scene.names.version(2)} -> {scene.names.version(2)}",
        status="failed", error="container did not become ready", finished_at=began + 4 * MINUTE,
    )  # fmt: skip
    scene.disturbances.effects.append(Effect(where=of(*hit), start=began, lost=True))
    for deployed in hit:
        scene.standing(deployed).silent_since = began
        scene.hit(deployed, began)
    scene.gaps.append((began, scene.as_of, of(*hit).deployments))
    scene.logs(
        collector, (began, began + 20 * MINUTE), "error", lambda: f"export to {backend} sink failed", 20
    )
    signs = [Sign(frozenset({backend}), of(*hit), terms=_NOTHING)]
    signs += [Sign(words_of(one), of(one), terms=_NOTHING) for one in hit]
    symptom = Symptom("what is missing", tuple(signs), (began, scene.as_of))
    event = job_event(job)
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("volume", hit[0]))
    scene.onsets.append(began)
