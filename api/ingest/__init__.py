"""Loads request logs and incidents: `records` is what they are, `files` reads them, `store` keeps them."""

from api.ingest.errors import IngestError, InputError, LoadStopped, MappingError
from api.ingest.files import ColumnMapping, load_mapping
from api.ingest.load import ingest_file
from api.ingest.records import IncidentRecord, RequestRecord
from api.ingest.summary import IngestSummary, Progress, Report

__all__ = [
    "ColumnMapping",
    "IncidentRecord",
    "IngestError",
    "IngestSummary",
    "InputError",
    "LoadStopped",
    "MappingError",
    "Progress",
    "Report",
    "RequestRecord",
    "ingest_file",
    "load_mapping",
]
