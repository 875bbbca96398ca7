"""The errors that a text quotes, told apart from its prose and figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.text.error_template import error_templates, share_quoted, shared_templates

pieces = ("503", "rate_limit_exceeded", "RATE_LIMIT_EXCEEDED", "TimeoutError", "timeouterror", "450 ms", "ß")
quoting = st.lists(st.sampled_from(pieces), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("429 rate_limit_exceeded: limit 90000 TPM reached", {"429", "rate_limit_exceeded"}),
        ("connect ECONNRESET 10.1.4.9:443 after 504 ms", {"econnreset"}),
        ("getaddrinfo EAI_AGAIN, HTTP 503 from worker 12", {"eai_again", "503"}),
        ("torch.OutOfMemoryError, pods in CrashLoopBackOff", {"outofmemoryerror", "crashloopbackoff"}),
        ("OOMKilled exit=137 on edge-07", {"137"}),
        ("p95 of 450 ms, 12 % of 500 USD and 4.29 s, see /v1/404", set()),
        ("Users wait half a minute at night", set()),
    ],
)
def test_codes_and_names_of_errors_are_found_and_figures_are_not(text: str, expected: set[str]) -> None:
    """What a program calls an error is kept; what differs from time to time is not."""
    assert expected <= error_templates(text)
    assert not any(one.isdigit() and one not in expected for one in error_templates(text))


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_share_is_a_share_and_whole_with_itself(one: str, other: str) -> None:
    """From 0 to 1 for any text; 1 for a text that quotes something against itself."""
    ours, theirs = error_templates(one), error_templates(other)
    assert 0 <= shared_templates(ours, theirs) <= 1
    assert shared_templates(ours, ours) == (1 if ours else 0)


def test_a_huge_text_costs_no_more_than_its_beginning() -> None:
    """The work is bounded, and so is what one name can hold."""
    assert error_templates("Aa" * 4_000_000 + "E_" * 4_000_000) is not None


@given(quoting, quoting)
def test_errors_quoted_again_are_those_found_in_both_texts(one: str, other: str) -> None:
    """The short cut for a text that quotes none of the errors skips no text that does."""
    errors = error_templates(one)
    assert share_quoted(errors, other) == shared_templates(errors, error_templates(other))
    assert share_quoted(errors, one) == (1.0 if errors else 0.0)
