"""Incident memory on a Chroma server, as the settings choose it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.services import make_index, open_services
from context_builder.answer.answer import Answer
from context_builder.prompt.manifest import SourceEntry
from context_builder.question.request import QuestionInput
from context_builder.source import Status
from memory.index.chroma import ChromaIndex
from memory.index.chroma_server import ChromaServerIndex
from tests.support.chroma_process import ChromaProcess
from tests.support.http_service import settings_of

QUESTION = "Has anything like the current incidents happened before?"


def test_the_settings_choose_between_a_folder_and_a_server(tmp_path: Path) -> None:
    """A URL chooses the server, whatever folder is named beside it."""
    settings = settings_of("sqlite:///none.db", tmp_path)
    assert isinstance(make_index(settings), ChromaIndex)
    index = make_index(settings_of("sqlite:///none.db", tmp_path, memory_url="http://chroma:8000/"))
    assert isinstance(index, ChromaServerIndex)
    assert index.url == "http://chroma:8000"


@pytest.mark.process
async def test_a_server_that_is_away_costs_an_answer_its_precedents_alone(
    sqlite_story_url: str, tmp_path: Path
) -> None:
    """With nothing on the port the question is answered, and says what is missing, why and what to do."""
    server = await asyncio.to_thread(ChromaProcess, tmp_path / "server")
    settings = settings_of(sqlite_story_url, tmp_path, memory_url=server.url, memory_deadline_s=20)
    try:
        async with open_services(settings) as services:
            await services.memory.sync()
            before = await services.answerer.answer(QuestionInput(question=QUESTION))
            await asyncio.to_thread(server.kill)
            without = await services.answerer.answer(QuestionInput(question=QUESTION))
            await asyncio.to_thread(server.start)
            after = await services.answerer.answer(QuestionInput(question=QUESTION))
    finally:
        await asyncio.to_thread(server.kill)
    assert recall_of(before).error is recall_of(after).error is None
    assert recall_of(without).status is Status.ERROR
    why = f"memory server {server.url} cannot be reached (Connection refused); start it"
    assert (recall_of(without).error or "").startswith(why)
    assert why in without.text
    assert "[H1]" in without.text
    assert not await asyncio.to_thread(settings.memory_path.exists)


def recall_of(answer: Answer) -> SourceEntry:
    [entry] = [entry for entry in answer.manifest.sources if entry.name == "recall"]
    return entry
