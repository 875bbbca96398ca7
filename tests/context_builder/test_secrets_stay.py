"""Law 7: no secret of any column of text leaves this machine, or is stored a second time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from typing_extensions import override

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.postmortems.writer import PostmortemWriter
from context_builder.question.request import ContextRequest, QuestionInput
from context_builder.source import ContextSource, Section, Stores
from context_builder.text.redaction import Redaction
from memory.embedding.embedder import Vectors
from memory.embedding.hashing import HashingEmbedder
from memory.incident_memory import IncidentMemory
from memory.index.chroma import ChromaIndex
from models import MemoryEntry, Postmortem, Question
from models.tables.schema import Table
from tests.loopback.behaviour import Reply
from tests.loopback.fixtures import MakeClaude
from tests.loopback.messages_api import MessagesApi
from tests.support.gateway import NOON, SOURCES, Gateway
from tests.support.hostile_rows import columns_without, fill
from tests.support.paid import paid

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "Xy7hunter22"
PLANTED = f"password={SECRET} "


class Witness(HashingEmbedder):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    @override
    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.seen += texts
        return await super().embed(texts)


async def fail(_request: ContextRequest, _stores: Stores) -> Section:
    raise RuntimeError(f"cannot connect with {PLANTED}")


async def everything_in(gateway: Gateway, table: type[Table]) -> str:
    """All columns of all rows."""
    async with gateway.database.read() as session:
        rows = [dict(row) for row in (await session.execute(select(table.__table__))).mappings()]
    assert rows
    return json.dumps(rows, default=str)


async def test_a_secret_in_every_column_is_neither_sent_nor_embedded_nor_stored_again(
    gateway: Gateway,
    shared_index: ChromaIndex,
    make_claude: MakeClaude,
    messages_api: MessagesApi,
    tmp_path: Path,
) -> None:
    """Of a question, a recall, a failing source and a postmortem over rows that hold it everywhere."""
    await fill(gateway, PLANTED, tmp_path)
    assert await columns_without(gateway, SECRET) == []
    witness, redaction = Witness(), Redaction()
    memory = IncidentMemory(
        gateway.database, witness, shared_index, deadline_s=20, redact=redaction.without_digest
    )
    await memory.sync()
    sources = [replace(source, deadline_s=60.0) for source in SOURCES]
    failing = ContextSource("failing", "X", SOURCES[0].topics, 60.0, fail)
    builder = ContextBuilder(
        gateway.database, memory, [*sources, failing], default_budget=60_000, clock=lambda: NOON
    )
    questions = QuestionLog(gateway.database)
    model = await make_claude(deadline_s=60)
    answerer = Answerer(builder, questions, paid(gateway.database, model), clock=lambda: NOON)
    messages_api.script(*(Reply(text="## Summary\nAll of it.\n") for _ in range(2)))

    answer = await answerer.answer(QuestionInput(question=f"Does {PLANTED} fail for user_plain?"))
    writer = PostmortemWriter(gateway.database, answerer, questions, clock=lambda: NOON)
    [incident, *_] = await writer.pending()
    postmortem = await writer.write(incident)

    kept = {source.name for source in answer.manifest.sources if source.kept}
    assert kept >= {"errors", "recall", "incidents", "changes", "failures"}
    sent = [json.dumps(request.body) for request in messages_api.journal.requests]
    assert len(sent) == 2
    assert all(text.count("<SECRET:password:") > 10 for text in sent)
    left = {
        "sent": "".join(sent),
        "embedded": "".join(witness.seen),
        "remembered": await everything_in(gateway, MemoryEntry),
        "logged": await everything_in(gateway, Question),
        "answered": str(answer),
        # Its own key in the database aside.
        "written": str(replace(postmortem, incident="")),
    }
    assert [way for way, text in left.items() if SECRET in text] == []
    async with gateway.database.read() as session:
        row = await session.scalar(select(Postmortem).where(Postmortem.markdown.contains("SECRET")))
    assert row is not None
