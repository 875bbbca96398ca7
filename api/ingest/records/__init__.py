"""One model per kind of record: its fields, their limits, and what is said about a bad value."""

from api.ingest.records.incident_record import IncidentRecord
from api.ingest.records.notation import Notation, ParseOptions
from api.ingest.records.parsing import parse_time, parse_zone
from api.ingest.records.problems import FieldProblem, RecordInvalid, ValueProblem
from api.ingest.records.record import Record, parse_record
from api.ingest.records.request_record import RequestRecord

__all__ = [
    "FieldProblem",
    "IncidentRecord",
    "Notation",
    "ParseOptions",
    "Record",
    "RecordInvalid",
    "RequestRecord",
    "ValueProblem",
    "parse_record",
    "parse_time",
    "parse_zone",
]
