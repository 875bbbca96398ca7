"""How answers count: what was the request's fault opens nothing, what was the upstream's does."""

from __future__ import annotations

import pytest

from context_builder.risk.policy.outcomes import Observed, UpstreamResult, result_of_logged, result_of_status
from models import RequestStatus


@pytest.mark.parametrize(
    ("status", "busy", "result"),
    [
        (200, False, UpstreamResult.SUCCESS),
        (400, False, UpstreamResult.SUCCESS),
        (404, False, UpstreamResult.SUCCESS),
        (429, False, UpstreamResult.NEUTRAL),
        (500, False, UpstreamResult.FAILURE),
        (502, True, UpstreamResult.FAILURE),
        (503, False, UpstreamResult.FAILURE),
        (503, True, UpstreamResult.NEUTRAL),
        (529, False, UpstreamResult.NEUTRAL),
    ],
)
def test_a_status_counts_for_the_side_at_fault(status: int, busy: bool, result: UpstreamResult) -> None:
    """429 and a busy 503 are neutral, other 4xx succeed, 5xx fail."""
    assert result_of_status(status, busy=busy) is result


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        (RequestStatus.SUCCESS, None, UpstreamResult.SUCCESS),
        (RequestStatus.TIMEOUT, "504", UpstreamResult.FAILURE),
        (RequestStatus.RATE_LIMITED, "", UpstreamResult.NEUTRAL),
        (RequestStatus.ERROR, "429", UpstreamResult.NEUTRAL),
        (RequestStatus.ERROR, "context_length_exceeded", UpstreamResult.SUCCESS),
        (RequestStatus.ERROR, "OVERLOADED_ERROR", UpstreamResult.NEUTRAL),
        (RequestStatus.ERROR, "connection_reset", UpstreamResult.FAILURE),
        (RequestStatus.ERROR, None, UpstreamResult.FAILURE),
        (RequestStatus.PENDING, None, None),
    ],
)
def test_a_logged_request_counts_by_status_and_code(
    status: str, code: str | None, result: UpstreamResult | None
) -> None:
    """A timeout is a failure, an error of the client none, and what has not ended is not counted."""
    assert result_of_logged(status, code) is result


def test_neutral_answers_are_in_no_failure_share() -> None:
    """A storm of 429 does not hide failures, nor is it one."""
    assert Observed(successes=1, neutrals=98, failures=1).failure_share == 0.5
    assert Observed(neutrals=99).failure_share == 0
    assert Observed(neutrals=99).strained_share == 1
    assert Observed().strained_share == 0
