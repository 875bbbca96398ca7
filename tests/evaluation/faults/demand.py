"""Users who ask for more than usual: until their budget is gone, or until others feel it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tests.evaluation.faults.aftermath import follow
from tests.evaluation.faults.signs import of, onset, signs
from tests.evaluation.ledger import Metric
from tests.evaluation.scene import Complaint, Scene
from tests.evaluation.traffic import Effect, Sent, Slice, Surge
from tests.evaluation.truth import Sign, Symptom, percent
from tests.evaluation.world import HOUR, MINUTE, Account

REFUSED = "budget_exceeded"


def _per_minute(scene: Scene, account: Account, history: Sequence[Sent], times: float) -> float:
    usual = scene.share(Slice(user=account.public_id), history)
    return max(1.2, times * usual * scene.world.per_day / 1440)


def budget(scene: Scene, history: Sequence[Sent]) -> None:
    """A batch uses up a user's daily budget; from then on the user's requests are refused."""
    chance = scene.chance
    account = chance.choice([account for account in scene.world.accounts if account.limited])
    midnight = scene.as_of.replace(hour=0, minute=0, second=0)
    gone = max(midnight + 2 * HOUR, scene.as_of - chance.uniform(1.2, 6) * HOUR)
    began = max(midnight + 10 * MINUTE, gone - chance.uniform(1, 4) * HOUR)
    rate = _per_minute(scene, account, history, chance.uniform(4, 10))
    target = next(iter(scene.busy(history)))
    scene.disturbances.surges.append(Surge(account, began, scene.as_of, rate, target.public_id))
    who = Slice(user=account.public_id)
    scene.disturbances.effects.append(
        Effect(where=who, start=gone, failing=1.0, errors=(("rate_limited", REFUSED),))
    )
    scene.enforcement = (account, gone)
    batch = scene.names.public_id("batch")
    scene.action(account, began - timedelta(seconds=90), "batch.submit", batch)
    scene.hit(target, began)
    spent = Symptom(
        "the budget",
        (Sign(frozenset({account.public_id}), who, None, (percent(100, 0.03),), r"spent|budget",
              r"over by|over budget|exhaust|used up|exceeded its"),),
        (began, scene.as_of), causal=True, table="requests", row=f"{REFUSED}|{account.public_id}",
    )  # fmt: skip
    refused = Symptom(
        "refused requests",
        (Sign(frozenset({account.public_id}), who, Metric.ERRORS),
         Sign(frozenset({REFUSED}), Slice(code=REFUSED), Metric.VOLUME)),
        (gone, scene.as_of), table="requests", row=REFUSED,
    )  # fmt: skip
    scene.requirements += [spent, refused, onset(refused, moments=(gone, began))]
    scene.complaints.append(Complaint("cost", tier=account.tier, user=account.public_id))
    scene.onsets.append(gone)


def surge(scene: Scene, history: Sequence[Sent]) -> None:
    """One user sends many times what it used to; its deployment turns requests away and is slow for all."""
    chance = scene.chance
    account = chance.choice([account for account in scene.world.accounts if not account.limited])
    began = scene.as_of - chance.uniform(0.5, 5) * HOUR
    rate = _per_minute(scene, account, history, chance.uniform(5, 15))
    target = scene.busy(history)[0]
    scene.disturbances.surges.append(Surge(account, began, scene.as_of, rate, target.public_id))
    scene.disturbances.effects.append(
        Effect(
            where=of(target), start=began, slowdown=chance.uniform(1.4, 2.2),
            failing=chance.uniform(0.1, 0.3), errors=(("rate_limited", "429"),),
        )
    )  # fmt: skip
    key = scene.names.public_id("key")
    scene.action(account, began - timedelta(minutes=chance.randint(5, 20)), "key.create", key)
    scene.logs(target.public_id, (began, scene.as_of), "warning", lambda: "429: admission queue is full", 12)
    follow(scene, target, began, trouble="rate limited, queue is full")
    span = (began, scene.as_of)
    # Of all its traffic, or of that which the deployment gets.
    who = tuple(
        Sign(frozenset({account.public_id}), replace(where, user=account.public_id), Metric.VOLUME)
        for where in (Slice(), of(target))
    )
    source = Symptom("the user's traffic", who, span, causal=True)
    felt = Symptom("the deployment", signs([target], Metric.ERRORS, Metric.LATENCY, Metric.VOLUME), span)
    scene.requirements += [source, felt, onset(felt)]
    scene.complaints.append(Complaint("errors", target))
    scene.onsets.append(began)
