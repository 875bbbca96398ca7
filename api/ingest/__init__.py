"""Takes in what a gateway reports: `records` is what it is, `files` reads it, `store` keeps it."""

from api.ingest.errors import IngestError, InputError, LoadStopped, MappingError
from api.ingest.files import ColumnMapping, load_mapping
from api.ingest.load import ingest_file
from api.ingest.records import RECORD_TYPES, IncidentRecord, Record, RequestRecord
from api.ingest.summary import IngestSummary, Progress, Report

__all__ = [
    "RECORD_TYPES",
    "ColumnMapping",
    "IncidentRecord",
    "IngestError",
    "IngestSummary",
    "InputError",
    "LoadStopped",
    "MappingError",
    "Progress",
    "Record",
    "Report",
    "RequestRecord",
    "ingest_file",
    "load_mapping",
]
