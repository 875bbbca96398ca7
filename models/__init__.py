"""What is stored: tables, column types, sessions and snapshots. Importing it registers every table."""

from models.deployments import Deployment, DeploymentStatus
from models.incidents import Incident, IncidentStatus, Postmortem, PostmortemStatus, Severity
from models.memory import MemoryEntry, MemoryIndex
from models.quality import QualityScore
from models.questions import Question
from models.requests import FAILED_STATUSES, Request, RequestStatus
from models.rollups import RequestRollup, Resolution, UserSpend
from models.users import Tier, User

__all__ = [
    "FAILED_STATUSES",
    "Deployment",
    "DeploymentStatus",
    "Incident",
    "IncidentStatus",
    "MemoryEntry",
    "MemoryIndex",
    "Postmortem",
    "PostmortemStatus",
    "QualityScore",
    "Question",
    "Request",
    "RequestRollup",
    "RequestStatus",
    "Resolution",
    "Severity",
    "Tier",
    "User",
    "UserSpend",
]
