"""What is stored: tables, column types, sessions and snapshots. Importing it registers every table."""

from models.audit_events import AuditEvent
from models.config_changes import ConfigChange
from models.deployments import Deployment, DeploymentStatus
from models.error_logs import ErrorLog, LogSeverity
from models.health_checks import HealthCheck
from models.incidents import Incident, IncidentStatus, Severity
from models.jobs import Job, JobStatus, JobType
from models.memory import EntrySource, MemoryEntry, MemoryIndex, MemoryName, MemoryOutbox
from models.notifications import Notification, NotificationStatus
from models.postmortems import Postmortem, PostmortemBatch, PostmortemCall
from models.quality import QualityScore
from models.questions import Question
from models.requests import FAILED_STATUSES, Request, RequestStatus
from models.review import Provenance, ReviewStatus
from models.rollups import QualityRollup, RequestRollup, Resolution, UserSpend
from models.schedules import MaintenanceWindow, OperatingHours
from models.state_transitions import StateTransition
from models.user_actions import UserAction
from models.users import Tier, User

__all__ = [
    "FAILED_STATUSES",
    "AuditEvent",
    "ConfigChange",
    "Deployment",
    "DeploymentStatus",
    "EntrySource",
    "ErrorLog",
    "HealthCheck",
    "Incident",
    "IncidentStatus",
    "Job",
    "JobStatus",
    "JobType",
    "LogSeverity",
    "MaintenanceWindow",
    "MemoryEntry",
    "MemoryIndex",
    "MemoryName",
    "MemoryOutbox",
    "Notification",
    "NotificationStatus",
    "OperatingHours",
    "Postmortem",
    "PostmortemBatch",
    "PostmortemCall",
    "Provenance",
    "QualityRollup",
    "QualityScore",
    "Question",
    "Request",
    "RequestRollup",
    "RequestStatus",
    "Resolution",
    "ReviewStatus",
    "Severity",
    "StateTransition",
    "Tier",
    "User",
    "UserAction",
    "UserSpend",
]
