"""Words for an event say what it happened to, and never stand for an event of something else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from context_builder.question.event_phrases import find_event_phrases

SUNDAY = datetime(2026, 11, 29, 12, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("errors since the last router rollout", [("rollout", "router")]),
        ("errors since the latest router change", [("change", "router")]),
        ("errors since the router config change", [("change", "router")]),
        ("errors since the last gateway release", [("rollout", "")]),
        ("errors since the last change", []),
        ("errors since the last router incident", []),
        ("errors during the router maintenance", []),
    ],
)
def test_an_event_may_be_one_of_the_router(text: str, found: list[tuple[str, str]]) -> None:
    """Rollouts and changes are found by target; an incident of the router is not taken for any incident."""
    phrases = find_event_phrases(text, SUNDAY, ())
    assert [(phrase.kind, phrase.target) for phrase in phrases] == found
