"""Answers a question in this process."""

from __future__ import annotations

from contextlib import aclosing

from api.cli.ask.output import AnswerOutput
from api.services import MEMORY_START_S, Services
from context_builder.answer.answer import Answer
from context_builder.builder import BuiltContext
from context_builder.llm.chat_model import Delta
from context_builder.question.request import QuestionInput


async def show_answer(
    services: Services, ask: QuestionInput, output: AnswerOutput, *, reveals: bool = False
) -> Answer:
    """Ask, and show the answer as it is written, or when complete with the secrets that were replaced.

    Raises QuestionError and DatabaseError.
    """
    answerer = services.answerer
    model = services.settings.model if answerer.has_model else None
    output.wait("loading incident memory")
    await services.memory.started(at_most_s=MEMORY_START_S)
    output.wait(f"reading {len(answerer.builder.sources)} sources")
    async with aclosing(answerer.stream(ask)) as events:
        async for event in events:
            match event:
                case BuiltContext():
                    output.built(event.manifest, model)
                case Delta() if not reveals:  # a placeholder may be split between two
                    output.add(event.text)
                case Answer():
                    answer = event
    if reveals:
        answer = answerer.builder.redaction.revealed(answer)
        if answer.model is not None:
            output.add(answer.text)
    output.finish(answer)
    return answer
