"""Opens incident memory for the commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.services import open_database, open_memory
from api.settings import Settings, load_settings
from memory.incident_memory import IncidentMemory
from models.database import Database

_DEADLINE_S = 120.0
"""Generous: no question waits here, so the embedding model may take its time to load."""


@asynccontextmanager
async def memory_session(settings: Settings | None = None) -> AsyncIterator[tuple[Database, IncidentMemory]]:
    """Open the database and memory of the environment, with a generous deadline."""
    patient = (settings or load_settings()).model_copy(update={"memory_deadline_s": _DEADLINE_S})
    async with open_database(patient) as database, open_memory(patient, database) as memory:
        yield database, memory
