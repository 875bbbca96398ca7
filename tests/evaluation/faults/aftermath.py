"""What follows a fault in every gateway: health that changes, alerts, and only sometimes an incident."""

from __future__ import annotations

from datetime import datetime, timedelta

from models import ConfigChange, Job
from tests.evaluation.scene import Scene
from tests.evaluation.world import MINUTE, Deployed

_NOTICED = 0.65
_ALERTED = 0.6
_DECLARED = 0.3


def follow(scene: Scene, deployed: Deployed, onset: datetime, *, trouble: str) -> None:
    """Writes what people and monitors did about it. The deployment is degraded, if anybody noticed."""
    scene.hit(deployed, onset)
    chance = scene.chance

    def later(least: float, most: float) -> datetime:
        return onset + chance.uniform(least, most) * MINUTE

    noticed, alerted, declared = later(2, 7), later(4, 15), later(8, 30)
    if noticed < scene.as_of and chance.random() < _NOTICED:
        scene.transition(deployed, noticed, "degraded", trouble)
    if alerted < scene.as_of and chance.random() < _ALERTED:
        scene.notify(alerted, f"{deployed.public_id}: {trouble}", deployment_id=deployed.id)
    if declared < scene.as_of and chance.random() < _DECLARED:
        scene.incident(deployed.public_id, declared, f"{deployed.model}: {trouble}", symptoms=trouble)


def change_or_image(scene: Scene, deployed: Deployed, onset: datetime) -> ConfigChange | Job:
    """The cause of trouble in one deployment: a parameter or a new image, minutes before the onset."""
    at = onset - timedelta(seconds=scene.chance.randint(20, 400))
    if scene.chance.random() < 0.5:
        old = scene.chance.randint(2, 60)
        new = old * scene.chance.choice((3, 5, 8, 12))
        return scene.config(deployed.public_id, at, scene.names.parameter(), str(old), str(new))
    detail = f"{deployed.version} -> {scene.names.version()}"
    return scene.job("image_update", deployed.public_id, at, detail)
