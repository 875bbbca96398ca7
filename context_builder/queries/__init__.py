"""The analytical queries: each a function of a read session that returns frozen dataclasses.

    async with query_session(database) as session:
        volume = await request_volume(session, TrafficFilter(tiers=("premium",)))

They read only the database: no memory, no model. `query_session` opens a session with a deadline; one of
`database.read()` or of a snapshot works, too. Names are exact public ids; invalid arguments raise
QuestionError with a one-line message.
"""

from context_builder.queries.active_incidents import (
    ActiveIncident,
    IncidentFilter,
    IncidentPage,
    active_incidents,
)
from context_builder.queries.conversation import CallStep, Conversation, ConversationCall, conversation
from context_builder.queries.deployment_status import (
    DeploymentFilter,
    DeploymentPage,
    DeploymentState,
    deployment_status,
)
from context_builder.queries.errors import NotFound, NotResolved, QueryTimeout
from context_builder.queries.incident_history import (
    HistoryFilter,
    HistoryPage,
    RecordedIncident,
    incident_history,
)
from context_builder.queries.incident_postmortem import IncidentPostmortem, incident_postmortem
from context_builder.queries.latency_trends import LatencyTrends, Percentiles, latency_trends
from context_builder.queries.page import Page
from context_builder.queries.quality_summary import Quality, QualitySummary, quality_summary
from context_builder.queries.recent_requests import LoggedRequest, RequestFilter, RequestPage, recent_requests
from context_builder.queries.request_detail import (
    RelatedIncident,
    RequestDetail,
    RequestScore,
    request_detail,
)
from context_builder.queries.request_volume import RequestVolume, Volume, request_volume
from context_builder.queries.scope import TrafficFilter
from context_builder.queries.session import query_session
from context_builder.queries.user_context import UserContext, UserUsage, user_context

__all__ = [
    "ActiveIncident",
    "CallStep",
    "Conversation",
    "ConversationCall",
    "DeploymentFilter",
    "DeploymentPage",
    "DeploymentState",
    "HistoryFilter",
    "HistoryPage",
    "IncidentFilter",
    "IncidentPage",
    "IncidentPostmortem",
    "LatencyTrends",
    "LoggedRequest",
    "NotFound",
    "NotResolved",
    "Page",
    "Percentiles",
    "Quality",
    "QualitySummary",
    "QueryTimeout",
    "RecordedIncident",
    "RelatedIncident",
    "RequestDetail",
    "RequestFilter",
    "RequestPage",
    "RequestScore",
    "RequestVolume",
    "TrafficFilter",
    "UserContext",
    "UserUsage",
    "Volume",
    "active_incidents",
    "conversation",
    "deployment_status",
    "incident_history",
    "incident_postmortem",
    "latency_trends",
    "quality_summary",
    "query_session",
    "recent_requests",
    "request_detail",
    "request_volume",
    "user_context",
]
