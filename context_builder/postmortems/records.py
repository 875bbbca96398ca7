"""The postmortems in the database: read, store a person's text, replay the prompt."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVarTuple

from sqlalchemy import Select, or_, select

from context_builder.postmortems.document import read_document
from context_builder.postmortems.incident_digest import incident_digest
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render
from context_builder.question.request import QuestionError
from context_builder.text.clock import utc_now
from models import Incident, Postmortem, Provenance, Question, ReviewStatus
from models.database import Database, ReadSession, WriteSession

MAX_CHARACTERS = 200_000
"""Of a document that a person writes."""
_PAGE = 100
_CONTROL = {chr(code) for code in range(32)} - {"\n", "\t"}


_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True)
class StoredPostmortem:
    """A stored postmortem."""

    incident: str
    """Public id."""
    markdown: str
    model: str | None
    cost_usd: Decimal
    created_at: datetime
    status: str = ReviewStatus.DRAFT
    provenance: str = Provenance.MODEL
    template: str | None = None
    is_stale: bool = False
    """True if the incident has changed since the text was written."""
    edited_at: datetime | None = None
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None

    @property
    def is_protected(self) -> bool:
        """True if a person wrote, edited or decided on the text; runs never overwrite it."""
        by_people = self.provenance in (Provenance.HUMAN, Provenance.IMPORT)
        return by_people or self.edited_at is not None or self.status != ReviewStatus.DRAFT

    @classmethod
    def of(cls, incident: Incident, row: Postmortem) -> StoredPostmortem:
        """Return the postmortem of a row, given the incident as it is now."""
        return cls(
            incident=incident.public_id,
            markdown=row.markdown,
            model=row.model,
            cost_usd=row.cost_usd,
            created_at=row.created_at,
            status=row.status,
            provenance=row.provenance,
            template=row.template,
            # Texts written before digests were stored count as current.
            is_stale=row.incident_digest not in (None, incident_digest(incident)),
            edited_at=row.edited_at,
            reviewed_at=row.reviewed_at,
            reviewed_by=row.reviewed_by,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEvidence:
    """The exact prompt that a postmortem was written from, rendered again, and what the call used."""

    prompt: Prompt
    sha256: str
    expected_sha256: str
    """Of the prompt that was sent."""
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal
    question: str
    """Public id in the question log."""

    @property
    def is_identical(self) -> bool:
        """True if it is byte for byte what was sent."""
        return self.sha256 == self.expected_sha256


class PostmortemRecords:
    """The stored postmortems of one database."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def get(self, public_id: str) -> StoredPostmortem | None:
        """Return the postmortem of an incident, or None.

        Raises:
            QuestionError: the incident is unknown.
        """
        async with self._database.read() as session:
            incident = await _incident(session, public_id)
            row = await session.scalar(select(Postmortem).where(Postmortem.incident_id == incident.id))
            return None if row is None else StoredPostmortem.of(incident, row)

    async def all(
        self, incidents: Sequence[str] = (), *, since: datetime | None = None
    ) -> AsyncIterator[StoredPostmortem]:
        """Yield the stored postmortems, oldest incident first, read by pages.

        `incidents` restricts them to these public ids, `since` to incidents resolved at or after it.
        """
        chosen = select(Incident, Postmortem).join(Postmortem, Postmortem.incident_id == Incident.id)
        if incidents:
            chosen = chosen.where(Incident.public_id.in_(incidents))
        if since is not None:
            chosen = chosen.where(Incident.resolved_at >= since)
        after: tuple[datetime, int] | None = None
        while True:
            async with self._database.read() as session:
                rows = (await session.execute(page_after(chosen, after, _PAGE))).all()
                texts = [StoredPostmortem.of(incident, row) for incident, row in rows]
            for text in texts:
                yield text
            if len(rows) < _PAGE:
                return
            after = rows[-1][0].started_at, rows[-1][0].id

    async def edit(self, public_id: str, markdown: str) -> StoredPostmortem:
        """Store a person's text in place of what there is; it is a draft until somebody approves it.

        A text that is stored already changes nothing.

        Raises:
            QuestionError: the incident is unknown, active or forgotten, or the text is not acceptable
                Markdown.
        """
        markdown = checked_markdown(markdown)
        async with self._database.write() as session:
            incident = await _incident(session, public_id, lock=True)
            require_writable(
                public_id,
                is_resolved=incident.resolved_at is not None,
                is_forgotten=incident.forgotten_at is not None,
            )
            row = await session.scalar(
                select(Postmortem).where(Postmortem.incident_id == incident.id).with_for_update()
            )
            if row is None:
                row = Postmortem(
                    incident_id=incident.id, created_at=self._clock(), cost_usd=Decimal(0), markdown=""
                )
                session.add(row)
            if body_digest(row.markdown) != body_digest(markdown):
                self._edit(row, incident, markdown)
            await session.flush()
            return StoredPostmortem.of(incident, row)

    def _edit(self, row: Postmortem, incident: Incident, markdown: str) -> None:
        document = read_document(markdown)
        row.markdown = markdown
        row.summary = document.summary
        row.root_cause = document.root_cause
        row.resolution = document.resolution
        row.provenance = Provenance.HUMAN
        row.edited_at = self._clock()
        row.incident_digest = incident_digest(incident)
        # Approval of the previous text does not carry over.
        row.status = ReviewStatus.DRAFT
        row.reviewed_at = row.reviewed_by = None

    async def evidence(self, public_id: str) -> PromptEvidence | None:
        """Return the prompt of an incident's postmortem, None if it was not written from a prompt.

        Raises:
            QuestionError: the incident is unknown.
        """
        async with self._database.read() as session:
            incident = await _incident(session, public_id)
            question = await session.scalar(
                select(Question)
                .join(Postmortem, Postmortem.question_id == Question.id)
                .where(Postmortem.incident_id == incident.id)
            )
        if question is None:
            return None
        manifest = Manifest.from_json(question.manifest)
        prompt = render(manifest)
        return PromptEvidence(
            prompt=prompt,
            sha256=hashlib.sha256(prompt.whole.encode()).hexdigest(),
            expected_sha256=manifest.prompt_sha256,
            model=question.model,
            input_tokens=question.input_tokens,
            output_tokens=question.output_tokens,
            cost_usd=question.cost_usd,
            question=question.public_id,
        )


def page_after(chosen: Select[*_Columns], after: tuple[datetime, int] | None, size: int) -> Select[*_Columns]:
    """Restrict a query to the next page in the order in which incidents started."""
    page = chosen.order_by(Incident.started_at, Incident.id).limit(size)
    if after is None:
        return page
    started_at, number = after
    return page.where(
        or_(Incident.started_at > started_at, (Incident.started_at == started_at) & (Incident.id > number))
    )


def require_writable(public_id: str, *, is_resolved: bool, is_forgotten: bool) -> None:
    """Check that an incident can have a postmortem.

    Raises:
        QuestionError: it cannot.
    """
    if not is_resolved:
        raise QuestionError(f"incident {public_id!r} is still active; postmortems are for resolved incidents")
    if is_forgotten:
        raise QuestionError(f"incident {public_id!r} was forgotten; it cannot have a postmortem")


def body_digest(markdown: str) -> str:
    """Return the SHA-256 of a text in hexadecimal, ignoring line endings and trailing white space."""
    lines = [line.rstrip() for line in markdown.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def checked_markdown(text: str) -> str:
    """Return the text as it is stored.

    Raises:
        QuestionError: it is empty, too long or contains control characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise QuestionError(
            "the text is empty; a postmortem is Markdown, with headings such as ## Root cause"
        )
    if len(text) > MAX_CHARACTERS:
        raise QuestionError(f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are accepted")
    for position, character in enumerate(text):
        if character in _CONTROL or "\ud800" <= character <= "\udfff":
            raise QuestionError(
                f"the text contains the character U+{ord(character):04X} at position {position}; "
                "only text is accepted"
            )
    return f"{text}\n"


async def _incident(session: ReadSession | WriteSession, public_id: str, *, lock: bool = False) -> Incident:
    statement = select(Incident).where(Incident.public_id == public_id)
    incident = await session.scalar(statement.with_for_update() if lock else statement)
    if incident is None:
        raise QuestionError(f"incident {public_id!r} is not known")
    return incident
