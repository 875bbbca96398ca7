"""Shares of traffic: how they move towards their targets, a bounded step a tick."""

from __future__ import annotations

from collections.abc import Mapping

from context_builder.risk.policy.limits import MAX_SHIFT, RAMP


def shifted_shares(shares: Mapping[str, float], targets: Mapping[str, float]) -> dict[str, float]:
    """Return the shares after one tick; they add up to 1, and none of a target above 0 is 0.

    `targets` are positive weights of the deployments that take traffic, in any unit. One that is not among
    `shares` enters and warms up; one that is not among `targets` was ejected, and its share goes to the
    others at once. Apart from that none loses more than MAX_SHIFT of its share.
    """
    total = sum(targets.values())
    wanted = {name: weight / total for name, weight in targets.items()}
    staying = sum(shares.get(name, 0.0) for name in wanted)
    if staying <= 0:
        return wanted
    held = {name: shares.get(name, 0.0) / staying for name in wanted}
    reached = {name: min(goal, held[name] + RAMP * goal) for name, goal in wanted.items()}
    scale = sum(reached.values())
    steps = {name: goal / scale - held[name] for name, goal in reached.items()}
    # One step length for all keeps the sum at 1; the deployment that would lose most determines it.
    length = min(
        (MAX_SHIFT * held[name] / -step for name, step in steps.items() if step < 0 and held[name] > 0),
        default=1.0,
    )
    return {name: held[name] + min(1.0, length) * step for name, step in steps.items()}
