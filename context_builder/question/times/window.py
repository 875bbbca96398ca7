"""The window that a question names."""

from __future__ import annotations

from datetime import datetime

from context_builder.question.request import Window
from context_builder.question.text import read_text
from context_builder.question.times.bounds import DEFAULT_LENGTH, MIN_TIME, floor_to_minute, subtract
from context_builder.question.times.reading import read_times


def find_window(question: str, as_of: datetime) -> Window:
    """Return the window of the first time that the question names, else the DEFAULT_LENGTH before `as_of`.

    The window's origin names words that are ambiguous, such as 12/11/2026, or not before `as_of`.
    """
    text = read_text(question)
    reading = read_times(text.english, as_of)
    for mention in reading.mentions:
        start = floor_to_minute(max(mention.intervals[0].start, MIN_TIME))
        end = floor_to_minute(min(mention.intervals[-1].end, as_of))
        if start < end:
            words = " … ".join(text.english[span.start : span.end] for span in mention.spans)
            return Window(start, end, origin=f"“{words}” in the question")
    unread = [span for span, _ in reading.refused] + [span for m in reading.mentions for span in m.spans]
    reason = "the question names no time"
    if unread:
        words = text.english[unread[0].start : unread[0].end]
        reason = f"“{words}” is no clear time before the moment asked about"
    end = floor_to_minute(as_of)
    return Window(subtract(end, DEFAULT_LENGTH), end, f"the last 24 hours, since {reason}")
