"""Retries are counted as they were planted, and like requests of a busy client are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context_builder.exploration.requests.request_sample import RequestSample
from context_builder.exploration.requests.retries import (
    MIN_RETRIED,
    RETRIED_WITHIN_S,
    Retries,
    find_retries,
    may_have_retries,
)

USUAL: dict[str, Any] = {
    "user_id": 1, "deployment_id": 1, "task_type": "chat", "status": "success", "error_code": None,
    "latency_ms": 100.0, "cost_nanousd": 10_000_000, "prompt_tokens": 500, "completion_tokens": 50,
    "attempt": None, "trace_id": None,
}  # fmt: skip


def sample(rows: Sequence[Mapping[str, Any]]) -> RequestSample:
    """Return requests of these values; each is of its own second unless it says when."""
    whole = sorted(({"at": float(n), **USUAL, **row} for n, row in enumerate(rows)), key=itemgetter("at"))
    columns = {name: [row[name] for row in whole] for name in USUAL}
    columns["created_at"] = [datetime.fromtimestamp(row["at"], UTC) for row in whole]
    return RequestSample(columns, complete=True)


CALM = sample([{"at": 300.0 * n, "prompt_tokens": 100.0 + n} for n in range(100)])


def storm(length: int, tries: int, pause: float, **more: Any) -> list[dict[str, Any]]:
    """Return requests of which each fails so often, with a pause before each other try."""
    return [
        {
            "at": 400.0 * n + pause * turn, "prompt_tokens": 100.0 + n, "latency_ms": 0.0,
            "status": "rate_limited" if turn < tries else "success",
            "error_code": "429" if turn < tries else "",
        } | {name: of(turn) for name, of in more.items()}
        for n in range(length)
        for turn in range(tries + 1)
    ]  # fmt: skip


@settings(deadline=None)
@given(length=st.integers(8, 60), tries=st.integers(1, 4), pause=st.floats(0.1, RETRIED_WITHIN_S))
def test_each_request_that_repeats_a_failed_one_soon_is_counted(
    length: int, tries: int, pause: float
) -> None:
    """Whatever came of it; the volume is as many times what it would be without."""
    found = find_retries(sample(storm(length, tries, pause)), CALM)
    assert found is not None
    assert found.share == pytest.approx(tries / (tries + 1), abs=0.01)
    assert found.factor == pytest.approx(tries + 1, rel=0.05)
    assert found.reason == "429"


def test_the_attempts_that_a_gateway_recorded_count() -> None:
    """However late they come, and of whatever length."""
    late = storm(10, 1, 150.0, attempt=lambda turn: str(turn + 1))
    assert find_retries(sample(late), CALM) == Retries(0.5, "")
    unknown = [row | {"attempt": None} for row in late]
    assert find_retries(sample(unknown), CALM) is None


@pytest.mark.parametrize(
    "other",
    [
        {"user_id": lambda turn: turn},
        {"prompt_tokens": lambda turn: 7.0 * turn},
        {"trace_id": str},
    ],
    ids=["user", "prompt", "trace"],
)
def test_another_request_is_no_retry(other: dict[str, Any]) -> None:
    """One of another user, length or trace repeats nothing."""
    assert find_retries(sample(storm(40, 1, 2.0, **other)), CALM) is None


def test_what_follows_by_chance_is_no_retry() -> None:
    """A client that sends like requests all the time does not insist, even if half of them fail."""
    chance = np.random.default_rng(3)
    busy = [{"status": "error" if chance.random() < 0.5 else "success"} for _ in range(600)]
    found = find_retries(sample(busy), sample([{} for _ in range(600)]))
    assert found is None or found.share < 0.05


def test_a_few_retries_are_of_no_account() -> None:
    """Some are sent on any day."""
    assert find_retries(sample(storm(7, 1, 2.0)), CALM) is None
    assert find_retries(sample([{"status": "error", "prompt_tokens": n} for n in range(100)]), CALM) is None


@settings(deadline=None)
@given(length=st.integers(0, 20), calm=st.integers(1, 20), data=st.data())
def test_what_has_no_retries_is_known_without_the_time_before(
    length: int, calm: int, data: st.DataObject
) -> None:
    """Chance only lowers their number, and of recorded ones it is certain."""
    attempts = data.draw(st.sampled_from([lambda _: None, lambda turn: str(turn + 1)]))
    after = sample([*storm(length, 1, 2.0, attempt=attempts), *[{}] * calm])
    assert may_have_retries(after) == (length >= MIN_RETRIED)
    assert may_have_retries(after) or find_retries(after, CALM) is None
