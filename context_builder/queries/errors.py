"""The errors of the queries.

QuestionError (context_builder.question.request)
├── NotFound          an unknown name
└── NotResolved       the incident is still active
QueryTimeout          the deadline passed
"""

from __future__ import annotations

from context_builder.errors import ContextBuilderError
from context_builder.question.request import QuestionError


class NotFound(QuestionError):
    """No row has the requested name; the message lists known names with a similar spelling."""


class NotResolved(QuestionError):
    """The incident is still active, and postmortems require a resolved one."""


class QueryTimeout(ContextBuilderError):
    """The queries of a session took longer than its deadline."""
