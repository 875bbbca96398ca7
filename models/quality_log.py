"""The only way to store quality scores: appends them and keeps their rollups consistent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, select

from models.database import WriteSession
from models.errors import InvalidScore
from models.request_log import bucket_start, dialect_of
from models.tables.gateway.quality import QualityScore
from models.tables.gateway.requests import Request
from models.tables.gateway.rollups import QualityRollup, Resolution
from models.tables.gateway.users import User

MILLION = 1_000_000
"""A score of 1 in the unit of stored sums."""

_KEY = ("bucket_start", "scored_hour", "deployment_id", "tier", "router_version", "task_type")
_SUMS = ("scores", "score_sum", "score_square_sum")
_IDS_PER_SELECT = 5_000

QualityKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScore:
    """A score to append; a request has at most one."""

    request_id: int
    """Database id of the request."""
    score: float
    """In [0, 1]."""
    scorer: str
    scored_at: datetime


async def append(session: WriteSession, scores: Sequence[NewScore]) -> int:
    """Append scores of requests that have none yet; return how many.

    Raises:
        InvalidScore: Before anything is written; a score is outside [0, 1] or older than its request, or the
            request is not in the log.
    """
    by_request = {score.request_id: score for score in scores}
    keys = await _rollup_keys(session, by_request)
    if not keys:
        return 0
    table = dialect_of(session).insert(QualityScore)
    rows = [
        {"request_id": one.request_id, "score": one.score, "scorer": one.scorer, "scored_at": one.scored_at}
        for one in by_request.values()
    ]
    statement = table.on_conflict_do_nothing(index_elements=["request_id"]).returning(QualityScore.request_id)
    added = (await session.scalars(statement, rows)).all()
    await _roll_up(session, [(keys[request_id], by_request[request_id].score) for request_id in added])
    return len(added)


async def _rollup_keys(session: WriteSession, scores: Mapping[int, NewScore]) -> dict[int, QualityKey]:
    """Return the rollup key of each score by request. The tier of users who changed later is unknown."""
    ids = sorted(scores)
    tier = case((User.updated_at <= Request.created_at, User.tier), else_="")
    keys: dict[int, QualityKey] = {}
    for start in range(0, len(ids), _IDS_PER_SELECT):
        rows = await session.execute(
            select(Request, tier)
            .join(User, User.id == Request.user_id)
            .where(Request.id.in_(ids[start : start + _IDS_PER_SELECT]))
        )
        for request, tier_then in rows:
            _check(scores[request.id], request)
            keys[request.id] = (
                bucket_start(request.created_at, Resolution.HOUR),
                bucket_start(scores[request.id].scored_at, Resolution.HOUR),
                request.deployment_id, tier_then, request.router_version or "", request.task_type or "",
            )  # fmt: skip
    missing = [number for number in ids if number not in keys]
    if missing:
        raise InvalidScore(f"request {missing[0]} is not in the log; a score belongs to a logged request")
    return keys


def _check(score: NewScore, request: Request) -> None:
    if not 0 <= score.score <= 1:
        raise InvalidScore(f"score {score.score} of {request.public_id} is not between 0 and 1")
    if score.scored_at < request.created_at:
        raise InvalidScore(
            f"{request.public_id} was scored at {score.scored_at.isoformat()}, "
            f"before it was made at {request.created_at.isoformat()}"
        )


async def _roll_up(session: WriteSession, scored: Sequence[tuple[QualityKey, float]]) -> None:
    additions: defaultdict[QualityKey, Counter[str]] = defaultdict(Counter)
    for key, score in scored:
        additions[key]["scores"] += 1
        additions[key]["score_sum"] += round(score * MILLION)
        additions[key]["score_square_sum"] += round(score * score * MILLION)
    if not additions:
        return
    table = QualityRollup.__table__
    statement = dialect_of(session).insert(QualityRollup)
    sums = [table.c[QualityRollup.__mapper__.columns[name].name] for name in _SUMS]
    adding = statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={column.name: column + statement.excluded[column.name] for column in sums},
    )
    # Sorted, so that two writers cannot deadlock.
    rows = [dict(zip(_KEY, key, strict=True)) | dict(additions[key]) for key in sorted(additions)]
    await session.execute(adding, rows)
