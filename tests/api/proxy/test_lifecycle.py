"""Every request takes steps that may follow each other, and has exactly one end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.proxy.lifecycle import ENDS, Lifecycle, State


@given(st.lists(st.sampled_from(State), max_size=12))
def test_whatever_is_tried_a_request_ends_at_most_once(steps: list[State]) -> None:
    """A step that may not follow is refused and leaves no trace; nothing follows an end."""
    life = Lifecycle()
    for step in steps:
        before = list(life.transitions)
        try:
            life.enter(step)
        except ValueError:
            assert life.transitions == before
    states = [transition.state for transition in life.transitions]
    assert states[0] is State.RECEIVED
    assert not ENDS & set(states[:-1])
    assert life.ended == (states[-1] in ENDS)
    times = [transition.after_ms for transition in life.transitions]
    assert times == sorted(times)


@pytest.mark.parametrize("end", [State.CLIENT_GONE, State.PROXY_ERROR])
def test_a_client_may_leave_and_the_proxy_may_fail_at_any_moment(end: State) -> None:
    """Before every end, and not after one."""
    road = [State.AUTHENTICATED, State.PARSED, State.REWRITTEN, State.FORWARDING, State.STREAMING]
    for length in range(len(road) + 1):
        life = Lifecycle()
        for step in road[:length]:
            life.enter(step)
        life.enter(end, "why")
        with pytest.raises(ValueError, match=f"does not follow {end}; accepted: nothing, it is final"):
            life.enter(State.COMPLETED)
