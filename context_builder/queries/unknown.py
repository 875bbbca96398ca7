"""The error for an unknown name."""

from __future__ import annotations

from context_builder.question.request import QuestionError


class NotFound(QuestionError):
    """No row has the requested name; the message lists known names with a similar spelling."""
