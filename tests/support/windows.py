"""Moments at which a question may be asked, and the window of one without names."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from context_builder.question.meaning.understanding import Findings, understand
from context_builder.question.request import Window
from context_builder.question.text import read_text

MOMENTS = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001  hypothesis adds the zone
    datetime(9999, 12, 29),  # noqa: DTZ001  likewise
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)


def find_window(question: str, as_of: datetime) -> Window:
    """Return the window that a question names, else the last 24 hours."""
    return understand(read_text(question), as_of, Findings()).window
