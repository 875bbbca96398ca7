"""A new router version that treats requests badly."""

from __future__ import annotations

from collections.abc import Sequence

from models import Tier
from tests.evaluation.faults.signs import job_event, onset
from tests.evaluation.ledger import Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import EVERYTHING, Effect, Rollout, Sent, Slice
from tests.evaluation.truth import Sign, Symptom

_SLOW = 0.5
_ONE_TIER = 0.5
_CODE = "421"
"""Of some of the failures, and of no ordinary one."""


def rollout(scene: Scene, history: Sequence[Sent]) -> None:
    """Under the new version the requests of a tier, or all, fail more often or take longer."""
    chance, old = scene.chance, scene.world.routers[-1][1]
    new = scene.names.version(int(old[1:].split(".")[0]))
    share = chance.choice((0.3, 0.5, 1.0, 1.0))
    busiest = max(Tier, key=lambda tier: scene.share(Slice(tier=tier), history))
    tier = busiest if chance.random() < _ONE_TIER else ""
    hit = Slice(tier=tier)
    began = scene.onset(hit, chance.uniform(120, 600) / share, history)
    scene.disturbances.rollouts.append(Rollout(new, began, share))
    slow = chance.random() < _SLOW
    scene.disturbances.effects.append(
        Effect(
            where=Slice(tier=tier, router_version=new), start=began,
            slowdown=chance.uniform(1.8, 3.5) if slow else 1.0,
            failing=0.0 if slow else chance.uniform(0.12, 0.4), errors=(("error", _CODE), ("error", "502")),
        )
    )  # fmt: skip
    job = scene.job("rollout", "router", began, f"{old} -> {new}")
    scene.audit("router", began, job.created_by or "", "router.rollout", f"{new} at {share:.0%}")
    word = scene.names.stem()
    scene.logs("router", (began, scene.as_of), "error" if not slow else "warning",
               lambda: f"{word} scorer returned no candidate, using last resort", 10)  # fmt: skip
    metric = Metric.LATENCY if slow else Metric.ERRORS
    signs = [Sign(frozenset({new}), Slice(tier=tier, router_version=new), metric)]
    if tier:
        signs += [
            Sign(frozenset({tier}), hit, metric),
            Sign(frozenset({new}), Slice(router_version=new), metric),
        ]
    elif share == 1:
        signs.append(Sign(frozenset(), EVERYTHING, metric))  # then all requests are those of the new version
    if not slow:
        signs.append(Sign(frozenset({_CODE}), Slice(code=_CODE), Metric.VOLUME))
    symptom = Symptom("requests under the new router", tuple(signs), (began, scene.as_of))
    event = job_event(job, frozenset({"router", old, new}))
    scene.requirements += [symptom, event, onset(symptom)]
    scene.complaints.append(Complaint("latency" if slow else "errors", tier=tier))
    scene.onsets.append(began)
