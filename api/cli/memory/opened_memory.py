"""Incident memory as the commands open it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.services import open_database, open_memory
from api.settings import Settings, load_settings
from memory.incident_memory import IncidentMemory
from models.database import Database

_PATIENCE_S = 120.0
"""Nobody waits for the next source here, so the model may take its time to load."""


@asynccontextmanager
async def opened_memory(settings: Settings | None = None) -> AsyncIterator[tuple[Database, IncidentMemory]]:
    """The database and memory that the environment names, with a deadline for people who wait."""
    patient = (settings or load_settings()).model_copy(update={"memory_deadline_s": _PATIENCE_S})
    async with open_database(patient) as database, open_memory(patient, database) as memory:
        yield database, memory
