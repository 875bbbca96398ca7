"""Quality scores of some of the answers, hours after each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from api.demo_data.chance import stream
from api.demo_data.incidents import Disturbances
from api.demo_data.personas import DEPLOYMENTS
from api.demo_data.traffic import Exchange
from api.ingest.records import QualityRecord
from models import RequestStatus

SCORER = "rubric-judge-2"
SCORED_SHARE = 0.6
"""Share of requests that get a score."""

_SOONEST_S = 3600
_LATEST_S = 6 * 3600
_SPREAD = 0.06
_USUAL = {role.public_id: role.quality for role in DEPLOYMENTS}


def scores(
    seed: int, anchor: datetime, exchanges: Sequence[Exchange], disturbances: Disturbances
) -> Iterator[QualityRecord]:
    """Yield the scores that have arrived by the anchor, in the order of their requests.

    Only answers are scored, so that failures and scores to come keep their requests without one.
    """
    chance = stream(seed, "quality")
    answered = [sent for sent in exchanges if sent.outcome.status is RequestStatus.SUCCESS]
    wanted = SCORED_SHARE * len(exchanges) / len(answered)
    for sent in answered:
        chosen = chance.random() < wanted
        scored_at = sent.created_at + timedelta(seconds=chance.randint(_SOONEST_S, _LATEST_S))
        loss = disturbances.at(sent.deployment, sent.created_at).quality_loss
        score = round(min(1.0, max(0.0, chance.gauss(_USUAL[sent.deployment] - loss, _SPREAD))), 3)
        if chosen and scored_at <= anchor:
            yield QualityRecord(request=sent.public_id, score=score, scorer=SCORER, scored_at=scored_at)
