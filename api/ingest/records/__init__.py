"""One model per kind of record: its fields, their limits, and what is said about a bad value."""

from api.ingest.records.deployment_record import DeploymentRecord
from api.ingest.records.incident_record import IncidentRecord
from api.ingest.records.notation import Notation, ParseOptions
from api.ingest.records.operations.activity_record import ActivityRecord
from api.ingest.records.operations.alert_record import AlertRecord, AlertStatus
from api.ingest.records.operations.audit_record import AuditRecord
from api.ingest.records.operations.change_record import ChangeRecord
from api.ingest.records.operations.error_record import ErrorRecord
from api.ingest.records.operations.health_record import HealthRecord
from api.ingest.records.operations.hours_record import HoursRecord
from api.ingest.records.operations.job_record import JobRecord
from api.ingest.records.operations.maintenance_record import MaintenanceRecord
from api.ingest.records.operations.notification_record import NotificationRecord
from api.ingest.records.operations.state_record import StateRecord
from api.ingest.records.parsing import parse_time, parse_zone
from api.ingest.records.problems import FieldProblem, RecordInvalid, ValueProblem
from api.ingest.records.quality_record import QualityRecord
from api.ingest.records.record import NamedRecord, Record, parse_record
from api.ingest.records.request_record import RequestRecord
from api.ingest.records.user_record import UserRecord

RECORD_TYPES: dict[str, type[Record]] = {
    each.kind: each
    for each in (
        # In the order in which they are stored: what others refer to comes first.
        *(DeploymentRecord, UserRecord, RequestRecord, QualityRecord, HealthRecord, StateRecord),
        *(IncidentRecord, AlertRecord, ChangeRecord, JobRecord, ErrorRecord, AuditRecord),
        *(NotificationRecord, ActivityRecord, MaintenanceRecord, HoursRecord),
    )
}
"""Every kind of record by name."""

__all__ = [
    "RECORD_TYPES",
    "ActivityRecord",
    "AlertRecord",
    "AlertStatus",
    "AuditRecord",
    "ChangeRecord",
    "DeploymentRecord",
    "ErrorRecord",
    "FieldProblem",
    "HealthRecord",
    "HoursRecord",
    "IncidentRecord",
    "JobRecord",
    "MaintenanceRecord",
    "NamedRecord",
    "Notation",
    "NotificationRecord",
    "ParseOptions",
    "QualityRecord",
    "Record",
    "RecordInvalid",
    "RequestRecord",
    "StateRecord",
    "UserRecord",
    "ValueProblem",
    "parse_record",
    "parse_time",
    "parse_zone",
]
