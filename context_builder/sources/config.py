"""Configuration changes: answers "what configuration changed before it began, and by whom?".

Columns: target, parameter, old and new value, author and time (UTC), in the window and the day before it.
Those nearest to the onset come first; without an onset, the newest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, select

from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.event_scope import event_scope
from context_builder.telemetry.event_window import (
    EventWindow,
    causal_window,
    offset_text,
    onset_text,
    proximity,
)
from context_builder.telemetry.row_count import count_rows
from context_builder.text.fact_keys import change_key
from context_builder.text.formatting import format_count, format_name, format_time
from context_builder.text.sanitize import quote
from models import ConfigChange
from models.database import ReadSession

MAX_FACTS = 40
_VALUE_LIMIT = 200
_SHORT_LIMIT = 40


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return the changes nearest to the onset, or to the end of the window."""
    found = await stores.exploration.onset(request)
    onset = found.at
    span = causal_window(request, onset)
    async with stores.snapshot.session() as session:
        condition = and_(span.contains(ConfigChange.changed_at), event_scope(ConfigChange, request))
        changes = await _load_nearest(session, request, span, onset or span.until)
        total = await count_rows(session, ConfigChange, condition, read=len(changes), limit=MAX_FACTS)
    if not changes:
        return Section(f"no configuration changes {span}", status=Status.EMPTY)
    first = f"{MAX_FACTS} nearest to the onset" if onset else f"newest {MAX_FACTS}"
    listed = f"; the {first} are listed" if total > MAX_FACTS else ""
    header = f"{format_count(total, 'configuration change')} {span}{onset_text(onset)}{listed}"
    return Section(header, tuple(_facts(changes, onset, onset or span.until)), gaps=found.gaps)


async def _load_nearest(
    session: ReadSession, request: ContextRequest, span: EventWindow, center: datetime
) -> Sequence[ConfigChange]:
    """Load the nearest changes on each side of a moment, each side by its own index range."""
    near = (
        select(ConfigChange)
        .where(span.contains(ConfigChange.changed_at), event_scope(ConfigChange, request))
        .limit(MAX_FACTS)
    )
    changed_at = ConfigChange.changed_at
    before = await session.scalars(
        near.where(changed_at <= center).order_by(changed_at.desc(), ConfigChange.id.desc())
    )
    after = await session.scalars(near.where(changed_at > center).order_by(changed_at, ConfigChange.id))
    changes = [*before, *after]
    return sorted(changes, key=lambda row: (abs(row.changed_at - center), -row.id))[:MAX_FACTS]


def _facts(changes: Sequence[ConfigChange], onset: datetime | None, center: datetime) -> list[Fact]:
    """Return one fact per change. Several on one target in one minute get no key, or they would be merged."""
    keys = [change_key(change.target, change.changed_at) for change in changes]
    times = Counter(keys)
    return [
        _fact(change, onset, center, key if times[key] == 1 else "")
        for change, key in zip(changes, keys, strict=True)
    ]


def _fact(change: ConfigChange, onset: datetime | None, center: datetime, key: str) -> Fact:
    when = f"{format_time(change.changed_at)}{offset_text(change.changed_at, onset)}"
    head = f"{format_name(change.parameter)} of {format_name(change.target)}"
    return Fact(
        f"{head}: {_format_values(change, _VALUE_LIMIT)}; by {format_name(change.changed_by)} at {when}",
        f"{head}: {_format_values(change, _SHORT_LIMIT)} at {when}",
        0.3 + 0.7 * proximity(change.changed_at, center),
        kind="configuration changes",
        key=key,
        headline=Headline(
            text=f"{head} changed {_format_values(change, _SHORT_LIMIT)} at {when}",
            role=Role.EVENT,
            nouns=(Noun.SETTING,),
            topic=Topic.CHANGES,
            at=change.changed_at,
        ),
    )


def _format_values(change: ConfigChange, limit: int) -> str:
    """Format old and new value; the limit must not hide that they differ."""
    old = "not set" if change.old_value is None else quote(change.old_value, limit=limit)
    new = "removed" if change.new_value is None else quote(change.new_value, limit=limit)
    return f"{old} -> {new}"


source = ContextSource(
    "config",
    "C",
    frozenset({Topic.CHANGES}),
    4.0,
    read,
    asks=frozenset({Wording.TOPICS}),
    shows_to_confined=Shown.NOTHING,
)
