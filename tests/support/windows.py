"""The window of a question without names."""

from __future__ import annotations

from datetime import datetime

from context_builder.question.meaning.understanding import Findings, understand
from context_builder.question.request import Window
from context_builder.question.text import read_text


def find_window(question: str, as_of: datetime) -> Window:
    """Return the window that a question names, else the last 24 hours."""
    return understand(read_text(question), as_of, Findings()).window
