"""Quality scores of some of the answers, hours after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.demo_data.chance import stream
from api.demo_data.incidents import Disturbances
from api.demo_data.personas import DEPLOYMENTS
from api.demo_data.traffic import Exchange
from models import RequestStatus

SCORER = "rubric-judge-2"
SCORED_SHARE = 0.6
"""Share of requests that get a score."""

_SOONEST_S = 3600
_LATEST_S = 6 * 3600
_SPREAD = 0.06
_USUAL = {role.public_id: role.quality for role in DEPLOYMENTS}


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one request, in [0, 1]."""

    request: str
    """Public id."""
    score: float
    scored_at: datetime


def scores(
    seed: int, anchor: datetime, exchanges: Sequence[Exchange], disturbances: Disturbances
) -> list[Score]:
    """Return the scores that have arrived by the anchor, in the order of their requests.

    Only answers are scored, so that failures and scores to come keep their requests without one.
    """
    chance = stream(seed, "quality")
    answered = [sent for sent in exchanges if sent.outcome.status is RequestStatus.SUCCESS]
    wanted = SCORED_SHARE * len(exchanges) / len(answered)
    given = []
    for sent in answered:
        chosen = chance.random() < wanted
        scored_at = sent.created_at + timedelta(seconds=chance.randint(_SOONEST_S, _LATEST_S))
        loss = disturbances.at(sent.deployment, sent.created_at).quality_loss
        score = chance.gauss(_USUAL[sent.deployment] - loss, _SPREAD)
        if chosen and scored_at <= anchor:
            given.append(Score(sent.public_id, round(min(1.0, max(0.0, score)), 3), scored_at))
    return given
