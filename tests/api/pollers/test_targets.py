"""The file of targets: what it leaves out has a default, and what it cannot mean is named."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pollers.schedule import JITTER, MAX_INTERVALS, first_pause, pause_after
from api.pollers.targets import load_targets
from api.settings import SettingsError

GOOD = """
[[status_page]]
backend = "openai"
url = "https://status.openai.com"
components = ["API"]

[[model_server]]
deployment = "llama/own"
url = "http://gpu-1:8000/"
headers = {authorization = "Bearer secret"}
every_s = 15

[[litellm]]
deployment = "litellm/gateway"
url = "http://litellm:4000/base/health/readiness"
"""


def test_a_file_says_what_is_polled(tmp_path: Path) -> None:
    """A URL without a path gets that of its kind; intervals differ by kind."""
    path = tmp_path / "poll.toml"
    path.write_text(GOOD)
    found = [(each.name, each.url, each.every_s) for each in load_targets(path)]
    assert found == [
        ("status_page openai", "https://status.openai.com/api/v2/summary.json", 60),
        ("model_server llama/own", "http://gpu-1:8000/metrics", 15),
        ("litellm litellm/gateway", "http://litellm:4000/base/health/readiness", 30),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('= "openai"', '= ""'), "status_page 1: expected backend"),
        (("https://status.openai.com", "status.openai.com"), "status_page 1: url: expected http://host"),
        (("https://status", "https://ann:pw@status"), "no user or password can be in it"),
        (("llama/own", "llama"), "model_server 1.deployment: "),
        (('deployment = "llama/own"', ""), "model_server 1: expected backend or deployment"),
        (('backend = "openai"', 'deployment = "a/b"'), "status_page 1: expected backend"),
        (("every_s = 15", "every_s = 0"), "model_server 1.every_s: "),
        (("every_s", "interval"), "model_server 1.interval: extra"),
        (("every_s = 15", 'components = ["x"]'), "model_server 1: only status pages have components"),
        (("[[litellm]]", "[[prometheus]]"), "'prometheus' is unknown; accepted are tables [[status_page]]"),
        (("[[litellm]]", "[litellm]"), "'litellm' is unknown; accepted are tables [[status_page]]"),
        (("[[litellm]]", "[[model_server]]"), None),
        (("litellm/gateway", "llama/own"), None),
        (("[[litellm", "["), "is not TOML in UTF-8"),
        ((GOOD, ""), "has 0 targets; expected 1 to 500"),
        ((GOOD, GOOD + GOOD.partition("[[litellm")[0]), "status_page 2: 'openai' is there already"),
    ],
)
def test_what_a_file_cannot_mean_is_named(tmp_path: Path, change: tuple[str, str], told: str | None) -> None:
    """With place and what is accepted, and without what may be a secret."""
    path = tmp_path / "poll.toml"
    path.write_text(GOOD.replace(*change))
    if told is None:
        assert len(load_targets(path)) == 3
        return
    with pytest.raises(SettingsError) as caught:
        load_targets(path)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_targets(tmp_path / "other.toml")


@given(st.integers(1, 3600), st.integers(0, 10_000), st.integers(0, 3600), st.integers(0, 99))
def test_pauses_grow_with_failures_and_have_an_end(
    every_s: float, failures: int, retry_after_s: float, seed: int
) -> None:
    """Never shorter than the interval but for jitter, and never longer than ten of them or what was asked."""
    pause = pause_after(every_s, failures, retry_after_s, Random(seed))  # noqa: S311  no secret
    shortest = max(every_s * min(2**failures, MAX_INTERVALS), retry_after_s)
    assert shortest * (1 - JITTER) <= pause <= shortest * (1 + JITTER)


@given(st.integers(1, 3600), st.none() | st.integers(-(10**9), 10**9), st.integers(0, 99))
def test_a_new_process_begins_soon(every_s: float, due_in_s: float | None, seed: int) -> None:
    """Whatever the clock was when another one planned the next poll."""
    assert 0 <= first_pause(every_s, due_in_s, Random(seed)) <= every_s * MAX_INTERVALS  # noqa: S311  likewise
