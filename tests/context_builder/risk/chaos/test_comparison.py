"""Chaos runs: repeatable, and the policy keeps its limits under every scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from context_builder.risk.chaos.arrivals import TraceUnusable, poisson_with_bursts, recorded
from context_builder.risk.chaos.comparison import RIVALS, chance, compare, mean_rate
from context_builder.risk.chaos.faults import FAULT_START_S, SCENARIOS

SHORT_S = 260.0


def arrivals(seed: int = 5, rate: float = 12.0) -> list[float]:
    return list(poisson_with_bursts(chance(seed), rate=rate, duration_s=SHORT_S))


@pytest.mark.long
def test_the_same_seed_gives_the_same_results() -> None:
    """A comparison can be repeated."""
    assert compare(SCENARIOS["flapping"], 5, arrivals=arrivals()) == compare(
        SCENARIOS["flapping"], 5, arrivals=arrivals()
    )


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_scenario_makes_the_policy_break_its_limits(name: str) -> None:
    """At most three in ten are ejected, or one; and no deployment flaps."""
    own, *others = compare(SCENARIOS[name], 5, arrivals=arrivals())
    assert own.max_ejected_share <= max(0.3, 1 / 6)
    assert own.max_flaps <= 1
    assert {each.policy for each in others} == {rival.name for rival in RIVALS}
    assert {each.requests for each in others} == {own.requests}
    if name == "none":
        assert own.ejections == 0


@pytest.mark.long
def test_faults_that_are_refused_fast_do_not_draw_traffic() -> None:
    """What P2C with peak EWMA falls for costs this policy less than half of it."""
    results = {each.policy: each for each in compare(SCENARIOS["429-storm"], 5, arrivals=arrivals(rate=35.0))}
    assert results["this policy"].breached < results["P2C + peak EWMA"].breached / 2


def test_a_fault_strikes_whom_and_when_it_should() -> None:
    """Before it begins, and beside it, nothing is wrong."""
    burst = SCENARIOS["error-burst"]
    assert burst.fault_of(0, FAULT_START_S - 1).failing == 0
    assert burst.fault_of(1, FAULT_START_S + 1).failing == 0
    assert burst.fault_of(0, FAULT_START_S + 1).failing == 0.8
    assert burst.fault_of(0, burst.end_s).failing == 0
    assert SCENARIOS["telemetry-loss"].is_blind(FAULT_START_S)
    assert not burst.is_blind(FAULT_START_S)


def test_arrivals_have_the_rate_and_come_in_bursts() -> None:
    """More variance than a plain Poisson process has, and times in order."""
    times = list(poisson_with_bursts(chance(1), rate=20.0, duration_s=2000.0))
    assert times == sorted(times)
    assert 20.0 <= len(times) / 2000 <= 24.0
    counts = [0] * 200
    for each in times:
        counts[int(each / 10)] += 1
    mean = sum(counts) / 200
    assert sum((count - mean) ** 2 for count in counts) / 199 > 1.5 * mean


def test_a_recorded_trace_keeps_its_pattern_at_the_wanted_rate(tmp_path: Path) -> None:
    """A header is skipped and the recording repeats where it is too short."""
    path = tmp_path / "trace.csv"
    path.write_text("time\n" + "\n".join(str(1000 + n * n) for n in range(200)), "utf-8")
    times = recorded(path, rate=mean_rate(), duration_s=60.0)
    assert len(times) == pytest.approx(60 * mean_rate(), rel=0.2)
    assert times == sorted(times)
    assert times[-1] < 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\nx\n", "line 2: 'x' is no arrival time"),
        ("1\nnan\n", "line 2: 'nan' is no arrival time"),
        ("1\n2\n", "has 2 arrival times; at least 100"),
        ("7\n" * 200, "has 200 arrival times; at least 100 that differ"),
        ("", "has 0 arrival times"),
    ],
)
def test_a_trace_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The message says where and what is accepted."""
    path = tmp_path / "trace.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(TraceUnusable, match=said):
        recorded(path, rate=1.0, duration_s=10.0)
    with pytest.raises(TraceUnusable, match="cannot be read"):
        recorded(tmp_path / "none.csv", rate=1.0, duration_s=10.0)
