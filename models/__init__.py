"""The database: tables, column types, sessions and snapshots. Importing it registers every table."""

from models.tables.gateway.cold_days import ColdDay, ColdState
from models.tables.gateway.deployments import Deployment, DeploymentStatus
from models.tables.gateway.incidents import Incident, IncidentStatus, Severity
from models.tables.gateway.quality import QualityScore
from models.tables.gateway.requests import FAILED_STATUSES, Request, RequestStatus
from models.tables.gateway.review import Provenance, ReviewStatus
from models.tables.gateway.rollups import QualityRollup, RequestRollup, Resolution, RollupClock, UserSpend
from models.tables.gateway.users import Tier, User
from models.tables.operations.audit_events import AuditEvent
from models.tables.operations.config_changes import ConfigChange
from models.tables.operations.error_logs import ErrorLog, LogSeverity
from models.tables.operations.health_checks import HealthCheck
from models.tables.operations.jobs import Job, JobStatus, JobType
from models.tables.operations.notifications import Notification, NotificationStatus
from models.tables.operations.schedules import MaintenanceWindow, OperatingHours
from models.tables.operations.state_transitions import StateTransition
from models.tables.operations.user_actions import UserAction
from models.tables.product.api_keys import ApiKey, Role
from models.tables.product.audit_entries import AuditEntry, AuditOutcome
from models.tables.product.conversations import ConversationFact, ConversationTurn
from models.tables.product.memory import EntrySource, MemoryEntry, MemoryIndex, MemoryName, MemoryOutbox
from models.tables.product.pollers import PollerKind, PollerState
from models.tables.product.postmortems import Postmortem, PostmortemBatch, PostmortemCall
from models.tables.product.proxy_calls import ProxyCall, ProxyOutbox
from models.tables.product.questions import Question
from models.tables.product.rejects import IngestReject
from models.tables.product.risk import RiskForecast, RiskTransition
from models.tables.product.spend import AccountKind, SpendBalance, SpendCap, SpendReservation

__all__ = [
    "FAILED_STATUSES",
    "AccountKind",
    "ApiKey",
    "AuditEntry",
    "AuditEvent",
    "AuditOutcome",
    "ColdDay",
    "ColdState",
    "ConfigChange",
    "ConversationFact",
    "ConversationTurn",
    "Deployment",
    "DeploymentStatus",
    "EntrySource",
    "ErrorLog",
    "HealthCheck",
    "Incident",
    "IncidentStatus",
    "IngestReject",
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
    "PollerKind",
    "PollerState",
    "Postmortem",
    "PostmortemBatch",
    "PostmortemCall",
    "Provenance",
    "ProxyCall",
    "ProxyOutbox",
    "QualityRollup",
    "QualityScore",
    "Question",
    "Request",
    "RequestRollup",
    "RequestStatus",
    "Resolution",
    "ReviewStatus",
    "RiskForecast",
    "RiskTransition",
    "Role",
    "RollupClock",
    "Severity",
    "SpendBalance",
    "SpendCap",
    "SpendReservation",
    "StateTransition",
    "Tier",
    "User",
    "UserAction",
    "UserSpend",
]
