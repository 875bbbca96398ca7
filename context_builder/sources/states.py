"""Health status changes: answers "which deployment went down or flapped, when, and why?".

Columns: deployment, status before and after (healthy, degraded, down, unknown), reason and time (UTC). Many
changes of one deployment, each within FLAP_GAP minutes of the previous one, are flapping and form one fact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.event_window import EventWindow, period_text, proximity, recent_window
from context_builder.telemetry.newest_requests import has_one_of
from context_builder.telemetry.row_count import count_rows
from context_builder.text.formatting import format_count, format_name, format_time
from context_builder.text.sanitize import quote
from models import Deployment, DeploymentStatus, StateTransition
from models.database import ReadSession

MAX_FACTS = 40
MAX_READ = 2_000
MAX_PER_DEPLOYMENT = 100
"""Newest transitions that are read per deployment, so that a flapping one hides no other."""
FLAP_GAP = timedelta(minutes=30)
MIN_FLAPS = 5
"""Transitions, each within FLAP_GAP of the previous one, that make flapping; an outage alone has fewer."""

_IMPORTANCE = {
    DeploymentStatus.DOWN: 0.9,
    DeploymentStatus.DEGRADED: 0.75,
    DeploymentStatus.HEALTHY: 0.6,
    DeploymentStatus.UNKNOWN: 0.5,
}


@dataclass(frozen=True, slots=True)
class StatusTransition:
    """A state transition with the name of its deployment."""

    deployment: str
    changed_at: datetime
    before: DeploymentStatus
    after: DeploymentStatus
    reason: str | None
    newer: int
    """Later transitions of the deployment in the span."""
    older: int
    """Earlier transitions of the deployment in the span."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return flapping deployments, then single transitions."""
    span = recent_window(request)
    async with stores.snapshot.session() as session:
        in_scope = has_one_of(StateTransition.deployment_id, request.scope.deployment_ids)
        condition = and_(span.contains(StateTransition.changed_at), *in_scope)
        total = await count_rows(session, StateTransition, condition)
        transitions = await _load_newest(session, condition)
    if not transitions:
        return Section(f"no deployment changed status {span}", status=Status.EMPTY)
    episodes = []
    singles: list[StatusTransition] = []
    for run, has_older in _runs(transitions):
        if len(run) >= MIN_FLAPS:
            episodes.append((run[0], _flapping_fact(run, has_older, request, span)))
        else:
            singles += run
    ended = [(run[0], _fact(run, span)) for run in _with_their_ends(singles)]
    facts = [fact for found in (episodes, ended) for _, fact in sorted(found, key=_newest_first)]
    is_cut = total > len(transitions)
    read_part = f"; only the newest of each deployment, {len(transitions):,}, were read" if is_cut else ""
    listed = f"; {MAX_FACTS} of {len(facts):,} facts are listed" if len(facts) > MAX_FACTS else ""
    flapping = f", {format_count(len(episodes), 'flapping episode')}" if episodes else ""
    return Section(
        f"{format_count(total, 'status change')} {span}{flapping}{read_part}{listed}",
        tuple(facts[:MAX_FACTS]),
    )


def _newest_first(found: tuple[StatusTransition, Fact]) -> tuple[float, str]:
    return -found[0].changed_at.timestamp(), found[0].deployment


async def _load_newest(session: ReadSession, condition: ColumnElement[bool]) -> list[StatusTransition]:
    """Load the newest transitions, at most MAX_PER_DEPLOYMENT of each deployment, newest first."""
    newest_first = StateTransition.changed_at.desc(), StateTransition.id.desc()
    place = func.row_number().over(partition_by=StateTransition.deployment_id, order_by=newest_first)
    total = func.count().over(partition_by=StateTransition.deployment_id)
    placed = (
        select(StateTransition.id, place.label("place"), total.label("total")).where(condition).subquery()
    )
    rows = await session.execute(
        select(StateTransition, Deployment.public_id, placed.c.place, placed.c.total)
        .join(placed, placed.c.id == StateTransition.id)
        .join(Deployment, Deployment.id == StateTransition.deployment_id)
        .where(placed.c.place <= MAX_PER_DEPLOYMENT)
        .order_by(*newest_first)
        .limit(MAX_READ)
    )
    return [
        StatusTransition(
            public_id,
            row.changed_at,
            DeploymentStatus(row.from_status),
            DeploymentStatus(row.to_status),
            row.reason,
            newer=place - 1,
            older=total_of_it - place,
        )
        for row, public_id, place, total_of_it in rows
    ]


def _runs(transitions: Sequence[StatusTransition]) -> Iterator[tuple[list[StatusTransition], bool]]:
    """Yield close transitions of one deployment, and whether older ones were not read."""
    of_each: defaultdict[str, list[StatusTransition]] = defaultdict(list)
    for transition in transitions:
        of_each[transition.deployment].append(transition)
    for own in of_each.values():
        run = own[:1]
        for transition in own[1:]:
            if run[-1].changed_at - transition.changed_at > FLAP_GAP:
                yield run, False
                run = []
            run.append(transition)
        yield run, run[-1].older > 0


def _with_their_ends(singles: Sequence[StatusTransition]) -> Iterator[Sequence[StatusTransition]]:
    """Yield each transition alone, or as the second of two, after the one back to health that ended it."""
    place = 0
    while place < len(singles):
        last, before = singles[place], singles[place + 1 : place + 2]
        is_end = last.after == DeploymentStatus.HEALTHY and any(
            (one.deployment, one.newer, one.after) == (last.deployment, last.newer + 1, last.before)
            for one in before
        )
        yield (last, *before) if is_end else (last,)
        place += 1 + is_end


def _flapping_fact(
    run: Sequence[StatusTransition], has_older: bool, request: ContextRequest, span: EventWindow
) -> Fact:
    last, first = run[0], run[-1]
    least = "at least " if has_older else ""
    is_now = last.newer == 0 and request.as_of - span.until < timedelta(minutes=1)
    state = f"{'now' if is_now else 'then'} {last.after.upper()}"
    short = (
        f"{format_name(last.deployment)} flapped {least}{len(run):,} times "
        f"{period_text(first.changed_at, last.changed_at)}, {state}"
    )
    importance = 0.9 + 0.1 * proximity(last.changed_at, span.until)
    return Fact(
        f"{short}{_format_reason(last.reason)}",
        short if last.reason else "",
        importance,
        kind="flapping episodes",
        headline=_headline(short, first.changed_at, alarm=True),
    )


def _fact(run: Sequence[StatusTransition], span: EventWindow) -> Fact:
    """State a transition, with the one that ended it if `run` begins with that."""
    first, last = run[-1], run[0]
    went = (
        f"{format_name(first.deployment)} went from {first.before} to {first.after.upper()} "
        f"at {format_time(first.changed_at)}"
    )
    back = "" if first is last else f"; back to {last.after.upper()} at {format_time(last.changed_at)}"
    reasons = [_format_reason(one.reason) for one in (first, last)]
    near = proximity(last.changed_at, span.until)
    return Fact(
        f"{went}{reasons[0]}{back}{reasons[1] if back else ''}",
        f"{went}{back}" if any(one.reason for one in run) else "",
        _IMPORTANCE[first.after] * (0.4 + 0.55 * near),
        kind="status changes",
        headline=_headline(
            f"{went}{back}",
            first.changed_at,
            alarm=first.after in (DeploymentStatus.DOWN, DeploymentStatus.DEGRADED) or None,
        ),
    )


def _headline(text: str, at: datetime, *, alarm: bool | None) -> Headline:
    return Headline(
        text=text, role=Role.EVENT, nouns=(Noun.DEPLOYMENT,), topic=Topic.HEALTH, alarm=alarm, at=at
    )


def _format_reason(reason: str | None) -> str:
    return f": {quote(reason)}" if reason else ""


source = ContextSource(
    "states",
    "S",
    frozenset({Topic.HEALTH, Topic.CHANGES}),
    2.0,
    read,
    shows_to_confined=Shown.ALL,
)
