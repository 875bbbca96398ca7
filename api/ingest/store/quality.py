"""Quality scores of requests that are in the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from api.ingest.records import FieldProblem, QualityRecord
from api.ingest.records.problems import excerpt
from api.ingest.store.events import lock_table
from api.ingest.store.references import in_parts
from api.ingest.store.result import Outcome, StoreResult
from models import QualityScore, Request
from models.database import WriteSession
from models.quality_log import NewScore, append


async def store_quality(session: WriteSession, records: Sequence[QualityRecord]) -> StoreResult:
    """Append scores; of a request that has one already, that one stays."""
    await lock_table(session, QualityScore)
    requests: defaultdict[str, list[tuple[datetime, int, int | None]]] = defaultdict(list)
    for part in in_parts(record.request for record in records):
        rows = await session.execute(
            select(Request.public_id, Request.id, Request.created_at, QualityScore.id)
            .outerjoin(QualityScore, QualityScore.request_id == Request.id)
            .where(Request.public_id.in_(part))
            .order_by(Request.created_at)
        )
        for name, key, created_at, score in rows:
            requests[name].append((created_at, key, score))
    new: dict[int, NewScore] = {}
    outcomes: list[Outcome | FieldProblem] = []
    for record in records:
        # Of several days' requests with this id, the last that was there when it was scored.
        named = requests[record.request]
        found = next((each for each in reversed(named) if each[0] <= record.scored_at), None)
        if not named:
            detail = f"{excerpt(record.request)}; send a score after its request, and before its day is cold"
            outcomes.append(FieldProblem("request", "not in the log", detail))
            continue
        if found is None:
            detail = f"{record.scored_at} < {named[0][0]}"
            outcomes.append(FieldProblem("scored_at", "before the request", detail))
            continue
        _, request_id, score_id = found
        if score_id is not None or request_id in new:
            outcomes.append(Outcome.PRESENT)
        else:
            new[request_id] = NewScore(
                request_id=request_id, score=record.score, scorer=record.scorer, scored_at=record.scored_at
            )
            outcomes.append(Outcome.ADDED)
    await append(session, list(new.values()))
    return StoreResult(outcomes=outcomes)
