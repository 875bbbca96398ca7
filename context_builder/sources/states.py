"""Changes of health status: answers "which deployment went down or flapped, when, and why?".

Columns: deployment, status before and after (healthy, degraded, down, unknown), reason and when (UTC). Many
changes of one deployment that follow each other within FLAP_GAP minutes are flapping and told as one fact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select, true

from context_builder.question.request import ContextRequest, Topic
from context_builder.source import ContextSource, Fact, Section, Status, Stores
from context_builder.telemetry.event_window import EventWindow, period_text, proximity, recent_window
from context_builder.text.formatting import format_count, format_name, format_time
from context_builder.text.sanitize import quote
from models import Deployment, DeploymentStatus, StateTransition
from models.database import ReadSession

MOST = 40
MAX_READ = 2_000
MAX_OF_ONE = 100
"""Newest transitions that are read of one deployment, so that one that flaps hides no other."""
FLAP_GAP = timedelta(minutes=30)
FLAPS = 5
"""So many transitions, each within FLAP_GAP of the one before, are flapping: an outage alone makes fewer."""

_IMPORTANCE = {
    DeploymentStatus.DOWN: 0.9,
    DeploymentStatus.DEGRADED: 0.75,
    DeploymentStatus.HEALTHY: 0.6,
    DeploymentStatus.UNKNOWN: 0.5,
}


@dataclass(frozen=True, slots=True)
class Transition:
    """A row with the name of its deployment."""

    deployment: str
    changed_at: datetime
    before: DeploymentStatus
    after: DeploymentStatus
    reason: str | None
    newer: int
    """How many transitions of the deployment in the span came after it."""
    older: int
    """How many came before it."""


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Flapping deployments, then single transitions."""
    span = recent_window(request)
    async with stores.snapshot.session() as session:
        condition = and_(span.contains(StateTransition.changed_at), _in_scope(request))
        counted = select(func.count()).select_from(StateTransition).where(condition)
        total = await session.scalar(counted) or 0
        transitions = await _newest(session, condition)
    if not transitions:
        return Section(f"no deployment changed its status {span}", status=Status.EMPTY)
    spells, singles = [], []
    for run, has_older in _runs(transitions):
        if len(run) >= FLAPS:
            spells.append((run[0], _flapping(run, has_older, request, span)))
        else:
            singles += [(transition, _fact(transition, span)) for transition in run]
    facts = [fact for told in (spells, singles) for _, fact in sorted(told, key=_newest_first)]
    is_cut = total > len(transitions)
    read_part = f"; only the newest of each deployment, {len(transitions):,}, were read" if is_cut else ""
    listed = f"; {MOST} of {len(facts):,} facts are listed" if len(facts) > MOST else ""
    flapping = f", {format_count(len(spells), 'spell')} of flapping" if spells else ""
    return Section(
        f"{format_count(total, 'change')} of status {span}{flapping}{read_part}{listed}", tuple(facts[:MOST])
    )


def _newest_first(told: tuple[Transition, Fact]) -> tuple[float, str]:
    return -told[0].changed_at.timestamp(), told[0].deployment


def _in_scope(request: ContextRequest) -> ColumnElement[bool]:
    ids = request.scope.deployment_ids
    return StateTransition.deployment_id.in_(ids) if ids else true()


async def _newest(session: ReadSession, condition: ColumnElement[bool]) -> list[Transition]:
    """The newest transitions, at most MAX_OF_ONE of each deployment, newest first."""
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
        .where(placed.c.place <= MAX_OF_ONE)
        .order_by(*newest_first)
        .limit(MAX_READ)
    )
    return [
        Transition(
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


def _runs(transitions: Sequence[Transition]) -> Iterator[tuple[list[Transition], bool]]:
    """Transitions of one deployment that follow each other closely, and whether older ones were not read."""
    of_each: defaultdict[str, list[Transition]] = defaultdict(list)
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


def _flapping(run: Sequence[Transition], has_older: bool, request: ContextRequest, span: EventWindow) -> Fact:
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
        f"{short}{_said(last.reason)}", short if last.reason else "", importance, kind="spells of flapping"
    )


def _fact(transition: Transition, span: EventWindow) -> Fact:
    short = (
        f"{format_name(transition.deployment)} went from {transition.before} to {transition.after.upper()} "
        f"at {format_time(transition.changed_at)}"
    )
    near = proximity(transition.changed_at, span.until)
    return Fact(
        f"{short}{_said(transition.reason)}",
        short if transition.reason else "",
        _IMPORTANCE[transition.after] * (0.4 + 0.55 * near),
        kind="changes of status",
    )


def _said(reason: str | None) -> str:
    return f": {quote(reason)}" if reason else ""


source = ContextSource("states", "S", frozenset({Topic.HEALTH, Topic.CHANGES}), 2.0, read)
