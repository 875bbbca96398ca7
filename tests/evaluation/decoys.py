"""Harmless events: every gateway is full of them, also in the minutes around an onset."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.evaluation.scene import Scene
from tests.evaluation.world import DAY, HOUR, LAST_DAY, MINUTE, Deployed

_NEAR = 45 * MINUTE
_ACTIONS = ("key.create", "key.rotate", "limit.request", "team.invite", "report.export")
_AUDITS = ("login", "key.revoke", "dashboard.edit", "role.grant", "secret.rotate", "alert.edit")
_WARNINGS = (
    "slow client: response body read after {n} ms",
    "retry {n} of 3 after connection reset",
    "token count estimate off by {n} %",
    "cache miss ratio {n} % in the last minute",
    "deprecated field used {n} times",
)


def add_decoys(scene: Scene) -> None:
    """Writes what happens on any day, some of it right before or after the onset."""
    chance = scene.chance
    targets = [*(d.public_id for d in scene.world.deployments), *scene.world.backends, "router", "gateway"]
    for _ in range(chance.randint(5, 10)):
        old = chance.randint(1, 90)
        scene.config(
            chance.choice(targets),
            _moment(scene),
            scene.names.parameter(),
            str(old),
            str(old + chance.randint(1, 9)),
        )
    for _ in range(chance.randint(3, 6)):
        _job(scene)
    for _ in range(chance.randint(8, 20)):
        at = _moment(scene)
        scene.audit(
            chance.choice(targets), at, scene.names.person(), chance.choice(_AUDITS), scene.names.stem()
        )
    for _ in range(chance.randint(3, 9)):
        scene.notify(_moment(scene), f"weekly report {scene.names.stem()} is ready")
    for _ in range(chance.randint(6, 15)):
        scene.action(
            chance.choice(scene.world.accounts), _moment(scene), chance.choice(_ACTIONS), scene.names.stem()
        )
    for _ in range(chance.randint(30, 70)):
        target = chance.choice(scene.world.deployments).public_id
        scene.log(target, _moment(scene), "warning", chance.choice(_WARNINGS).format(n=chance.randint(1, 99)))
    for _ in range(chance.randint(1, 3)):
        _blip(scene)
    for _ in range(chance.randint(1, 3)):
        _mended(scene)
    if chance.random() < 0.3:
        start = scene.as_of + chance.uniform(5, 60) * HOUR
        scene.maintenance(
            chance.choice(scene.world.backends), start, start + 2 * HOUR, _moment(scene), "firmware"
        )


def _moment(scene: Scene) -> datetime:
    """A random moment of the last day; one of five lies close to an onset."""
    if scene.onsets and scene.chance.random() < 0.2:
        at = scene.chance.choice(scene.onsets) + scene.chance.uniform(-1, 1) * _NEAR
        return min(at, scene.as_of - MINUTE)
    return scene.as_of - LAST_DAY * scene.chance.uniform(0.002, 1)


def _job(scene: Scene) -> None:
    chance, deployed = scene.chance, scene.chance.choice(scene.world.deployments)
    kind = chance.choice(("image_update", "firmware_update", "scale"))
    if kind == "scale":
        detail = f"{(few := chance.randint(2, 6))} -> {few + chance.randint(1, 2)} replicas"
    else:
        detail = f"{scene.names.version()} -> {scene.names.version()}"
    # Nothing that may look like a cause where something is caused.
    scene.job(
        kind,
        deployed.public_id if deployed.public_id not in scene.touched else "bastion",
        _moment(scene),
        detail,
    )


def _blip(scene: Scene) -> None:
    """A few minutes of degraded health, long over when trouble began."""
    free = [deployed for deployed in scene.world.deployments if deployed.public_id not in scene.touched]
    if not free:
        return
    deployed = scene.chance.choice(free)
    standing = scene.standing(deployed)
    earliest = max(scene.as_of - LAST_DAY, (standing.since or scene.as_of - DAY) + MINUTE)
    at = earliest + (scene.as_of - 20 * MINUTE - earliest) * scene.chance.random()
    if at > earliest:
        scene.transition(deployed, at, "degraded", "one health check was slow")
        scene.transition(
            deployed, at + scene.chance.randint(2, 8) * MINUTE, "healthy", "all health checks pass"
        )


def _mended(scene: Scene) -> None:
    """A minor incident of the days before."""
    deployed: Deployed = scene.chance.choice(scene.world.deployments)
    started = scene.as_of - scene.chance.uniform(1.3, 6) * DAY
    scene.incident(
        deployed.public_id,
        started,
        f"{scene.names.stem()} certificate near expiry",
        severity="low",
        resolved_at=started + timedelta(minutes=scene.chance.randint(20, 200)),
        root_cause="renewal job was paused",
        resolution="renewed by hand",
    )
