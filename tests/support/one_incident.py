"""A gateway with one resolved incident, and what its postmortem is written with."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from context_builder.answer.question_log import QuestionLog
from context_builder.answering import Answerer
from context_builder.builder import ContextBuilder
from context_builder.llm.claude import Claude
from context_builder.postmortems.template import load_template
from context_builder.postmortems.writer import PostmortemWriter
from models import Postmortem
from models.database import Database
from tests.support.gateway import HOUR, NOON, Gateway
from tests.support.no_memory import NO_MEMORY
from tests.support.paid import paid
from tests.support.patient_sources import SOURCES

TWO_SOURCES = [source for source in SOURCES if source.name in ("incidents", "volume")]
"""Enough to write from, and quickly read."""
TEXT = "\n\n".join(f"## {section.title}\n\nWords on it." for section in load_template("default").asked)
"""What a model writes."""
OURS = "# Ours\n\n## Root cause\n\nA cable was pulled [I1].\n\n## Resolution\n\nPlugged it in.\n"
"""What a person writes."""

MakeWriter = Callable[[Claude | None], PostmortemWriter]


async def gateway_with_one_incident(database: Database) -> Gateway:
    """It is called inc_1, was over at NOON, and hit gpt-4/aws."""
    gateway = Gateway(database)
    number = await gateway.deployment("gpt-4/aws")
    await gateway.incident("inc_1", resolved_at=NOON, deployment_id=number, root_cause="a fuse")
    return gateway


def writer_of(database: Database, model: Claude | None) -> PostmortemWriter:
    """A process of its own, an hour after NOON."""
    builder = ContextBuilder(
        database, NO_MEMORY, TWO_SOURCES, default_budget=4_000, clock=lambda: NOON + HOUR
    )
    questions = QuestionLog(database)
    answerer = Answerer(builder, questions, paid(database, model), clock=lambda: NOON + HOUR)
    return PostmortemWriter(database, answerer, questions, clock=lambda: NOON + HOUR)


async def stored(gateway: Gateway) -> Postmortem:
    """The one postmortem."""
    async with gateway.database.read() as session:
        return (await session.scalars(select(Postmortem))).one()
