"""Similar past incidents: answers "has this happened before, and what fixed it?".

Columns: similarity (cosine, 0 to 1), title, target, start (UTC), root cause and resolution, whether these are
an unapproved draft, and recurrences. Only what was known before `as_of`; memory is queried with every active
incident and with the question.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, select

from context_builder.observation import span
from context_builder.question.form import Noun
from context_builder.question.request import ContextRequest, Topic, Wording
from context_builder.source import ContextSource, Fact, Headline, Role, Section, Shown, Status, Stores
from context_builder.telemetry.incident_state import severity_rank, unresolved_at
from context_builder.text.formatting import format_count, format_name, format_time
from context_builder.text.sanitize import quote
from memory.recall.results import Recall, RecalledIncident, RecallQuery
from memory.text.recipe import query_text
from models import Incident, Provenance, ReviewStatus
from models.database import ReadSession

_NONE_RESOLVED = "no incident had been resolved by then"
_UNAPPROVED = {
    Provenance.HUMAN: " (a draft)",
    Provenance.MODEL: " (an unapproved draft written by a model)",
    Provenance.IMPORT: " (an imported draft)",
    Provenance.CODE: " (a draft)",
}
_HISTORY_BONUS = 0.3
"""Added importance of a precedent when the question asks for one."""
_DRAFT_WEIGHT = 0.7
"""Importance factor of a draft compared with an approved text."""
MAX_QUERIES = 4
MAX_RECALLED = 4


async def read(request: ContextRequest, stores: Stores) -> Section:
    """Return past incidents that resemble the current ones or the question, or that there are none."""
    async with stores.snapshot.session() as session:
        if (
            await session.scalar(select(Incident.id).where(Incident.resolved_at < request.as_of).limit(1))
            is None
        ):
            return Section(_NONE_RESOLVED, status=Status.EMPTY)
        names = {_query(incident): incident.public_id for incident in await _load_ongoing(session, request)}
        queries = [*names, *([RecallQuery(text=request.question)] if request.question else [])]
        if not queries:
            return Section("no ongoing incident to compare with the past", status=Status.EMPTY)
        with span("recall", queries=len(queries)) as recalling:
            recall = await stores.memory.recall(session, queries, as_of=request.as_of, limit=MAX_RECALLED)
            recalling.set_attribute("arcpoint.recalled", len(recall.recollections))
    # The question may find an incident that it names itself.
    found = [r for r in recall.recollections if r.incident_id not in request.scope.incident_ids]
    if not found:
        header = _format_no_match(recall)
        headline = Headline(
            text=header, role=Role.COUNT, nouns=(Noun.INCIDENT,), topic=Topic.HISTORY, alarm=False
        )
        return Section(header, status=Status.EMPTY, headline=headline)
    asked_for = Topic.HISTORY in request.topics
    facts = tuple(_fact(each, names.get(each.query), asked_for=asked_for) for each in found)
    missed = [format_name(names[miss.query]) for miss in recall.misses if miss.query in names]
    novel = f"; nothing similar to {', '.join(missed)}" if missed else ""
    return Section(f"{format_count(len(facts), 'similar past incident')} in memory{novel}", facts)


def _query(incident: Incident) -> RecallQuery:
    return RecallQuery(
        text=query_text(title=incident.title, symptoms=incident.symptoms, target=incident.target),
        target=incident.target,
        exclude_incident_id=incident.id,
    )


async def _load_ongoing(session: ReadSession, request: ContextRequest) -> Sequence[Incident]:
    """Load the incidents to find precedents for: the named ones, else the active ones.

    Incidents on a deployment in scope come first, then the most severe.
    """
    named = request.scope.incident_ids
    chosen = Incident.id.in_(named) if named else unresolved_at(request.as_of)
    here = Incident.deployment_id.in_(request.scope.deployment_ids)
    elsewhere = case((here, 0), else_=1)
    found = await session.scalars(
        select(Incident)
        .where(Incident.started_at <= request.as_of, chosen)
        .order_by(elsewhere, severity_rank(), Incident.started_at.desc(), Incident.id)
        .limit(MAX_QUERIES - 1)
    )
    return found.all()


def _fact(recollection: RecalledIncident, asked: str | None, *, asked_for: bool) -> Fact:
    """Describe a recalled incident.

    `asked` is the public id of the incident that it was found by; None: the question. `asked_for` tells
    whether the question asks about the past.
    """
    like = "the question" if asked is None else format_name(asked)
    head = (
        f"{format_name(recollection.public_id)} resembles {like} (similarity {recollection.similarity:.2f}): "
        f"{quote(recollection.title)}, started {format_time(recollection.started_at)}"
    )
    if recollection.target:
        head += f", on {quote(recollection.target, limit=100)}"
    if recollection.recurrences > 1:
        head += f"; {recollection.recurrences} times in total, last {format_time(recollection.last_seen)}"
    doubt = (
        _UNAPPROVED[Provenance(recollection.provenance)]
        if recollection.status != ReviewStatus.APPROVED
        else ""
    )
    cause = f"; past cause{doubt}: {quote(recollection.root_cause)}" if recollection.root_cause else ""
    fix = f"; past fix{doubt}: {quote(recollection.resolution)}" if recollection.resolution else ""
    return Fact(
        f"{head}{fix}{cause}",
        f"{head}{fix}" if cause else "",
        _importance(recollection, asked_for=asked_for),
        kind="similar past incidents",
        headline=Headline(
            text=f"{format_name(recollection.public_id)} (similarity {recollection.similarity:.2f}) of "
            f"{format_time(recollection.started_at)}{fix or cause or f': {quote(recollection.title)}'}",
            role=Role.STATE,
            nouns=(Noun.INCIDENT,),
            topic=Topic.HISTORY,
            alarm=True,
            value=recollection.similarity,
            at=recollection.started_at,
        ),
    )


def _importance(recollection: RecalledIncident, *, asked_for: bool) -> float:
    likeness = 0.4 + 0.6 * max(0.0, recollection.similarity) + (_HISTORY_BONUS if asked_for else 0.0)
    trust = 1.0 if recollection.status == ReviewStatus.APPROVED else _DRAFT_WEIGHT
    return trust * min(0.95, likeness)


def _format_no_match(recall: Recall) -> str:
    if recall.recollections:
        return "nothing similar in memory except what the question names"
    seen = [miss.best_similarity for miss in recall.misses if miss.best_similarity is not None]
    if not seen:
        return _NONE_RESOLVED
    return f"nothing similar in memory (closest similarity {max(seen):.2f})"


source = ContextSource(
    "recall",
    "M",
    frozenset({Topic.HISTORY, Topic.INCIDENTS, Topic.HEALTH, Topic.ERRORS}),
    6.0,
    read,
    asks=frozenset({Wording.QUESTION, Wording.TOPICS}),
    shows_to_confined=Shown.ALL,
)
