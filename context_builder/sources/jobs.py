"""Jobs on the fleet: answers "which rollout, drain or scale event failed, is running, or changed something?".

Columns: job id, type, target, status at `as_of`, detail, error, who created it, start (UTC) and duration
(minutes, hours). At a past moment a job that finished later is running, and one that began later is queued.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
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

MOST = 40

_IMPORTANCE = {
    JobStatus.FAILED: 1.0,
    JobStatus.RUNNING: 0.9,
    JobStatus.SUCCEEDED: 0.75,
    JobStatus.QUEUED: 0.5,
    JobStatus.CANCELLED: 0.4,
}


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Failed, running and finished jobs of the window or the last day, and those not finished yet."""
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
            .limit(MOST)
        )
        jobs = [(job, JobStatus(state)) for job, state in rows]
    if not jobs:
        return Section(f"no jobs {span}, and none is unfinished", status=Status.EMPTY)
    facts = [_fact(job, state, request, span, onset) for job, state in jobs]
    return Section(
        _header(counts, span) + onset_text(onset),
        tuple(sorted(facts, key=lambda fact: -fact.importance)),
        gaps=found.gaps,
    )


def _header(counts: Counter[JobStatus], span: EventWindow) -> str:
    parts = ", ".join(f"{counts[state]:,} {state}" for state in _IMPORTANCE if counts[state])
    listed = f"; the {MOST} that matter most are listed" if counts.total() > MOST else ""
    return f"{parts} of the jobs {span} and those unfinished{listed}"


def _fact(
    job: Job, status: JobStatus, request: ContextRequest, span: EventWindow, onset: datetime | None
) -> Fact:
    """A job as it stood at `as_of`; what became known later is left out."""
    started = job.started_at if job.started_at and job.started_at <= request.as_of else None
    finished = job.finished_at if job.finished_at and job.finished_at <= request.as_of else None
    head = f"{job.type.replace('_', ' ')} {format_name(job.public_id)} on {format_name(job.target)}"
    if started is None:
        when = f"created {format_time(job.created_at)}, not started"
    elif finished is None:
        when = f"started {format_time(started)}{offset_text(started, onset)}, {format_duration(request.as_of - started)} so far"
    else:
        when = f"started {format_time(started)}{offset_text(started, onset)}, took {format_duration(finished - started)}"
    if finished and started is None:
        when = f"{when}, ended {format_time(finished)}"
    short = f"{head} {_SAID[status]}: {when}"
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
    )


_SAID = {
    JobStatus.FAILED: "FAILED",
    JobStatus.RUNNING: "is RUNNING",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.QUEUED: "is queued",
    JobStatus.CANCELLED: "was cancelled",
}

source = ContextSource("jobs", "J", frozenset({Topic.CHANGES, Topic.HEALTH}), 4.0, read)
