"""Loads request logs and incidents from CSV and JSON Lines files."""

from api.ingest.errors import IngestError, InputError, LoadStopped, MappingError
from api.ingest.fields import INCIDENTS, REQUESTS
from api.ingest.incidents import ingest_incidents
from api.ingest.mapping import ColumnMapping, load_mapping
from api.ingest.requests import ingest_requests
from api.ingest.summary import IngestSummary, Progress

__all__ = [
    "INCIDENTS",
    "REQUESTS",
    "ColumnMapping",
    "IngestError",
    "IngestSummary",
    "InputError",
    "LoadStopped",
    "MappingError",
    "Progress",
    "ingest_incidents",
    "ingest_requests",
    "load_mapping",
]
