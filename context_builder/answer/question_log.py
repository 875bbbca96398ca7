"""Stores questions with their manifest, answer and cost."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import select

from context_builder.answer.answer import Answer
from context_builder.prompt.manifest import Manifest
from models import Question
from models.audit_chain import AuditRecord, DetailValue
from models.database import Database, WriteSession


class QuestionLog:
    """The question log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_enabled(self) -> bool:
        """True if the database accepts writes."""
        return not self._database.read_only

    async def record(self, answer: Answer, *, asker: str | None, asked_at: datetime) -> int:
        """Store one answered question, with its entry in the audit trail, and return its database id."""
        async with self._database.write() as session:
            detail = audit_detail(answer) | {"user": asker}
            session.audited.append(AuditRecord(action="question", subject=answer.id, detail=detail))
            return await self.record_in(session, answer, asker=asker, asked_at=asked_at)

    async def record_in(
        self, session: WriteSession, answer: Answer, *, asker: str | None, asked_at: datetime
    ) -> int:
        """Store one answered question within the caller's transaction and return its database id."""
        manifest = answer.manifest
        row = Question(
            public_id=answer.id,
            asked_at=asked_at,
            asker=asker,
            question=answer.question,
            as_of=answer.as_of,
            manifest=manifest.to_json(),
            answer=answer.text,
            stop_reason=answer.stop_reason,
            no_model_reason=answer.no_model_reason,
            model=answer.model,
            token_budget=manifest.token_budget,
            token_bound=manifest.token_bound,
            input_tokens=answer.usage and answer.usage.prompt_tokens,
            output_tokens=answer.usage and answer.usage.output_tokens,
            cost_usd=answer.cost_usd,
            build_ms=manifest.build_ms,
            latency_ms=answer.latency_ms,
        )
        session.add(row)
        await session.flush()
        return row.id

    async def manifest(self, public_id: str) -> Manifest | None:
        """Return the manifest of a logged question, which reproduces its prompt; None if unknown."""
        async with self._database.read() as session:
            stored = await session.scalar(select(Question.manifest).where(Question.public_id == public_id))
        return None if stored is None else Manifest.from_json(stored)


def audit_detail(answer: Answer) -> dict[str, DetailValue]:
    """Return what the audit trail says of an answer: which question by its digest, which model, which cost.

    The digest is of the question as it was logged, secrets replaced, so that a copy can be compared with it.
    """
    return {
        "question_sha256": hashlib.sha256(answer.question.encode("utf-8", "surrogatepass")).hexdigest(),
        "model": answer.model,
        "cost_usd": str(answer.cost_usd),
    }
