"""Jobs on the fleet: answers "which rollout, drain or scaling failed, is running, or changed something?".

Columns: job id, type, target, status at `as_of`, detail, error, creator, start (UTC) and duration (minutes,
hours). At a past moment a job that finished later is running, and one that started later is queued.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import (
    ContextSource,
    Fact,
    Headline,
    Role,
    Section,
    Shown,
    Status,
    Stores,
    by_importance,
)
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.event_window import (
    EventWindow,
    offset_text,
    onset_text,
    proximity,
    recent_window,
)
from context_builder.text.fact_keys import job_key
from context_builder.text.formatting import format_duration, format_name, format_time
from context_builder.text.sanitize import quote
from models import Job, JobStatus

MAX_FACTS = 40

_IMPORTANCE = {
    JobStatus.FAILED: 1.0,
    JobStatus.RUNNING: 0.9,
    JobStatus.SUCCEEDED: 0.75,
    JobStatus.QUEUED: 0.5,
    JobStatus.CANCELLED: 0.4,
}


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the jobs of the window or the last day, and those not finished yet."""
    found = await stores.exploration.onset(request)
    onset = found.at
    span = recent_window(request)
    over = and_(Job.finished_at.is_not(None), Job.finished_at <= request.as_of)
    begun = and_(Job.started_at.is_not(None), Job.started_at <= request.as_of)
    status = case((over, Job.status), (begun, JobStatus.RUNNING.value), else_=JobStatus.QUEUED.value)
    condition = and_(
        Job.created_at < span.until,
        or_(Job.finished_at.is_(None), Job.finished_at >= span.since),
        event_scope(Job, request),
    )
    rank = case({each.value: number for number, each in enumerate(_IMPORTANCE)}, value=status)
    async with stores.snapshot.session() as session:
        states = select(status.label("state")).select_from(Job).where(condition).subquery()
        counted = await session.execute(select(states.c.state, func.count()).group_by(states.c.state))
        counts = Counter({JobStatus(row[0]): row[1] for row in counted})
        rows = await session.execute(
            select(Job, status)
            .where(condition)
            .order_by(rank, case((begun, Job.started_at), else_=Job.created_at).desc(), Job.id.desc())
            .limit(MAX_FACTS)
        )
        jobs = [(job, JobStatus(state)) for job, state in rows]
    if not jobs:
        return Section(f"no jobs {span}, none unfinished", status=Status.EMPTY)
    facts = [_fact(job, state, request, span, onset) for job, state in jobs]
    return Section(_header(counts, span) + onset_text(onset), by_importance(facts), gaps=found.gaps)


def _header(counts: Counter[JobStatus], span: EventWindow) -> str:
    parts = ", ".join(f"{counts[state]:,} {state}" for state in _IMPORTANCE if counts[state])
    listed = f"; the top {MAX_FACTS} are listed" if counts.total() > MAX_FACTS else ""
    return f"{parts} among jobs {span} and unfinished ones{listed}"


def _fact(
    job: Job, status: JobStatus, request: ContextRequest, span: EventWindow, onset: datetime | None
) -> Fact:
    """Describe a job as it was at `as_of`; what became known later is left out."""
    started, finished = _by(request.as_of, job.started_at), _by(request.as_of, job.finished_at)
    head = f"{job.type.replace('_', ' ')} {format_name(job.public_id)} on {format_name(job.target)}"
    short = f"{head} {_STATUS_TEXT[status]}: {_format_times(job, started, finished, request.as_of, onset)}"
    by = f", by {format_name(job.created_by)}" if job.created_by else ""
    detail = f"; detail: {quote(job.detail)}" if job.detail else ""
    error = f"; error: {quote(job.error)}" if job.error and finished else ""
    near = proximity(min(finished or started or job.created_at, span.until), onset or span.until)
    return Fact(
        f"{short}{by}{detail}{error}",
        short,
        _IMPORTANCE[status] * (0.75 + 0.25 * near),
        kind="jobs",
        key=job_key(job.public_id),
        headline=Headline(
            text=short,
            role=Role.STATE,
            nouns=(Noun.JOB,),
            topic=Topic.CHANGES,
            at=started,
        ),
    )


def _by(as_of: datetime, time: datetime | None) -> datetime | None:
    """Return a time unless it is later than `as_of`."""
    return time if time is not None and time <= as_of else None


def _format_times(
    job: Job, started: datetime | None, finished: datetime | None, as_of: datetime, onset: datetime | None
) -> str:
    if started is None:
        ended = f", ended {format_time(finished)}" if finished else ""
        return f"created {format_time(job.created_at)}, not started{ended}"
    if finished is None:
        duration = f"{format_duration(as_of - started)} so far"
    else:
        duration = f"took {format_duration(finished - started)}"
    return f"started {format_time(started)}{offset_text(started, onset)}, {duration}"


_STATUS_TEXT = {
    JobStatus.FAILED: "FAILED",
    JobStatus.RUNNING: "is RUNNING",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.QUEUED: "is queued",
    JobStatus.CANCELLED: "was cancelled",
}

source = ContextSource(
    "jobs",
    "J",
    frozenset({Topic.CHANGES, Topic.HEALTH}),
    4.0,
    read,
    asks=frozenset({Wording.TOPICS}),
    shows_to_confined=Shown.NOTHING,
)
