"""What is asked for by its name alone, and is not there."""

from __future__ import annotations

from context_builder.question.request import QuestionError


class NotFound(QuestionError):
    """No row has the name that was asked for; the message has known names that are spelled alike."""
