"""Stream events are put together without trusting their shape."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_builder.llm.message_events import ErrorEvent, MalformedStream, Transcript
from context_builder.llm.usage import Usage

START = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}
KINDS = [
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error",
    "ping", "text", "text_delta",
]  # fmt: skip
NAMES = [
    "type", "message", "model", "usage", "input_tokens", "delta", "content_block", "text", "stop_reason",
    "error",
]  # fmt: skip
ATOMS = st.sampled_from([None, True, -1, 0, 10**30, 0.5, "", "x", "\ud800\x00", *KINDS])
JSON = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=9,
)


def text_delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def test_events_of_a_later_api_version_add_nothing() -> None:
    """Unknown kinds of events, blocks and deltas are ignored."""
    transcript = Transcript()
    events: list[Any] = [
        START,
        {"type": "brand_new", "text": "no"},
        {"type": "content_block_start", "content_block": {"type": "brand_new", "text": "no"}},
        {"type": "content_block_delta", "delta": {"type": "citations_delta", "text": "no"}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": "yes"}},
        text_delta(", yes"),
    ]
    assert [transcript.add(event) for event in events] == ["", "", "", "", "yes", ", yes"]
    assert transcript.text == "yes, yes"


def test_usage_is_cumulative_and_missing_counts_are_kept() -> None:
    """The last number reported for a kind of tokens is the one that is billed."""
    transcript = Transcript()
    transcript.add(START)
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    transcript.add(end | {"usage": {"output_tokens": 40, "input_tokens": None, "cache_read_input_tokens": 3}})
    assert transcript.usage == Usage(5, 40, cache_read_tokens=3)


@pytest.mark.parametrize("tokens", [-1, "5", 1.5, [], True])
def test_an_invalid_token_count_is_malformed(tokens: Any) -> None:
    """Only whole numbers from zero are priced."""
    event = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": tokens}}}
    with pytest.raises(MalformedStream, match="input_tokens is"):
        Transcript().add(event)


def test_an_error_event_is_distinguished_from_a_malformed_one() -> None:
    """The message of the API is kept."""
    with pytest.raises(ErrorEvent, match="api_error: Oops"):
        Transcript().add({"type": "error", "error": {"type": "api_error", "message": "Oops"}})


def test_a_reply_is_done_only_when_it_is_complete() -> None:
    """A stop event without a start or without a stop reason does not end the reply."""
    for events in ([], [START]):
        transcript = Transcript()
        for event in events:
            transcript.add(event)
        with pytest.raises(MalformedStream):
            transcript.add({"type": "message_stop"})
        assert not transcript.done


@pytest.mark.long
@given(events=st.lists(st.dictionaries(st.sampled_from(NAMES), JSON) | JSON, max_size=4), begun=st.booleans())
def test_no_event_breaks_the_reader(events: list[Any], begun: bool) -> None:
    """Any JSON is processed, or refused with the documented errors."""
    transcript = Transcript()
    for event in [START, *events] if begun else events:
        with contextlib.suppress(MalformedStream, ErrorEvent):
            transcript.add(event)
    transcript.text.encode()
    assert transcript.usage.prompt_tokens >= 0
