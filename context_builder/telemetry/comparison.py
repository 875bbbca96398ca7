"""The window of a question beside its baseline, read by one statement."""

from __future__ import annotations

from sqlalchemy import ColumnElement, case, or_

from context_builder.question.request import Window
from context_builder.telemetry.rollups import baseline_window, in_window
from models import RequestRollup, UserSpend


def compare_to_baseline(
    table: type[RequestRollup | UserSpend], window: Window
) -> tuple[ColumnElement[bool], ColumnElement[int]]:
    """Return the condition that covers window and baseline, and a column: 1 in the window, 0 before it."""
    now, before = in_window(table, window), in_window(table, baseline_window(window))
    return or_(now, before), case((now, 1), else_=0)
