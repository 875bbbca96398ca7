"""What is expected of one request follows from those that ended, whatever their values are."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.risk.request_latency import MAX_TASKS, MIN_REQUESTS, EndedRequest, RequestLatency

FAST, SLOW = "fast/x", "slow/x"


def taught(requests: int = 600) -> RequestLatency:
    """Teach that slow takes three times as long, code twice as long as chat, and 10 ms for each token."""
    random, latency = Random(1), RequestLatency()  # noqa: S311  a fixed draw of a test
    for _ in range(requests):
        name, task = random.choice((FAST, SLOW)), random.choice(("chat", "code"))
        output = random.choice((50, 200, 800))
        took = 10 * output * (3 if name == SLOW else 1) * (2 if task == "code" else 1)
        latency.learn(EndedRequest(name, task, 500, output, took * random.uniform(0.9, 1.1)))
    return latency


@pytest.mark.parametrize("name", [FAST, SLOW])
@pytest.mark.parametrize("task", ["chat", "code"])
@pytest.mark.parametrize(("limit", "output"), [(50, 50), (None, 170)])
def test_deployment_task_and_size_are_told_apart(
    name: str, task: str, limit: int | None, output: int
) -> None:
    """Each has its own effect on the latency, found while they vary together; 170 is the usual output."""
    true = 10 * output * (3 if name == SLOW else 1) * (2 if task == "code" else 1)
    expected = taught().expected_ms(name, task, 500, limit)
    assert expected == pytest.approx(true, rel=0.25)


def test_a_size_that_nobody_has_sent_lies_between_its_neighbours() -> None:
    """Beyond the largest one it is like that: what was never seen is not guessed at."""
    latency = taught()
    (small, between, large, larger) = (
        latency.expected_ms(FAST, "unseen", 500, tokens) for tokens in (50, 100, 200, 100_000)
    )
    assert small is not None
    assert between is not None
    assert large is not None
    assert small * 1.3 < between < large / 1.3
    assert larger == latency.expected_ms(FAST, "unseen", 500, 800)


def test_a_limit_above_the_usual_output_changes_nothing() -> None:
    """Clients ask for far more tokens than they get: the usual output counts, the limit only below it."""
    latency = taught()
    assert latency.expected_ms(FAST, "chat", 500, 100_000) == latency.expected_ms(FAST, "chat", 500)
    low, usual = latency.expected_ms(FAST, "chat", 500, 50), latency.expected_ms(FAST, "chat", 500)
    assert low is not None
    assert usual is not None
    assert low < usual / 2


def test_a_deployment_that_becomes_slow_is_followed() -> None:
    """After some dozen requests the expectation is that of now."""
    latency = taught()
    before = latency.expected_ms(FAST, "chat", 500, 200)
    for _ in range(60):
        latency.learn(EndedRequest(FAST, "chat", 500, 200, 12_000))
    assert before is not None
    assert latency.expected_ms(FAST, "chat", 500, 200) == pytest.approx(12_000, rel=0.25)
    assert before < 3_000


def test_a_deployment_without_traffic_is_not_moved_by_the_others() -> None:
    """What becomes slow is the deployment, not its tasks and sizes."""
    latency = RequestLatency()
    for _ in range(200):
        latency.learn(EndedRequest(FAST, "chat", 100, 100, 400))
        latency.learn(EndedRequest(SLOW, "chat", 100, 100, 1_000))
    for number in range(400):
        latency.learn(EndedRequest(SLOW, "chat", 100, 100, 1_000 + 50.0 * number))
    assert latency.expected_ms(FAST, "chat", 100, 100) == pytest.approx(400, rel=0.1)
    assert latency.expected_ms(SLOW, "chat", 100, 100) == pytest.approx(21_000, rel=0.1)


def test_nothing_is_expected_of_a_deployment_that_is_hardly_known() -> None:
    """One that nobody has seen, and one with a request too few, have no expectation."""
    latency = taught()
    for number in range(MIN_REQUESTS):
        assert latency.expected_ms("new/x", "chat", 500, 200) is None
        latency.learn(EndedRequest("new/x", "chat", 500, 200, 2_000.0 + number))
    assert latency.expected_ms("new/x", "chat", 500, 200) is not None
    latency.keep({FAST: None})
    assert latency.expected_ms("new/x", "chat", 500, 200) is None


def test_a_copy_does_not_follow() -> None:
    """Decisions of one tick rest on what was known at its beginning."""
    latency = taught()
    copy = latency.copy()
    before = copy.expected_ms(FAST, "chat", 500, 200)
    for _ in range(60):
        latency.learn(EndedRequest(FAST, "chat", 500, 200, 12_000))
    assert copy.expected_ms(FAST, "chat", 500, 200) == before


def test_tasks_made_by_clients_do_not_fill_the_memory() -> None:
    """Beyond MAX_TASKS they share one effect."""
    latency = RequestLatency()
    for number in range(3 * MAX_TASKS):
        latency.learn(EndedRequest(FAST, f"task {number}", None, 10, 100))
    assert len(latency._effects[1]) <= MAX_TASKS + 1
    assert latency.expected_ms(FAST, "task nobody has seen") == pytest.approx(100, rel=0.05)


@given(
    st.lists(
        st.builds(
            EndedRequest,
            st.sampled_from((FAST, SLOW)),
            st.sampled_from(("", "chat", "\U0001f600")),
            st.none() | st.integers(-(2**63), 2**63),
            st.none() | st.integers(-(2**63), 2**63),
            st.floats(),
        ),
        max_size=200,
    )
)
def test_any_values_leave_a_finite_expectation(ended: list[EndedRequest]) -> None:
    """Negative, infinite, huge and unknown values neither raise nor spoil what comes after them."""
    latency = RequestLatency()
    for each in ended:
        latency.learn(each)
    for _ in range(400):
        latency.learn(EndedRequest(FAST, "chat", 100, 100, 1_000))
    expected = latency.expected_ms(FAST, "chat", 100, 100)
    assert expected is not None
    assert math.isfinite(expected)
    assert expected == pytest.approx(1_000, rel=0.1)
