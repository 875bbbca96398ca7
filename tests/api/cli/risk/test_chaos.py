"""`arcpoint risk chaos`: ten lines, the same for the same seed, and a refusal of what is no scenario."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Run


@pytest.mark.long
def test_a_run_is_told_in_ten_lines(arcpoint: Run) -> None:
    """Every policy has a row, and the last line says who did best."""
    first = arcpoint("risk", "chaos", "429-storm", "--seed", "3", "--load", "0.2")
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("429-storm: 70 % of requests are refused at once, one of 6 deployments")
    assert {"this policy", "P2C + peak EWMA", "plain breaker", "round robin"} <= {
        line[2:22].strip() for line in lines
    }
    assert "breached requests than" in lines[-1]


@pytest.mark.long
def test_recorded_arrivals_are_replayed(arcpoint: Run, tmp_path: Path) -> None:
    """The results are of that trace: another one gives others."""
    found = []
    for power in (1, 2):
        path = tmp_path / f"{power}.csv"
        path.write_text("\n".join(str(number**power) for number in range(3000)), "utf-8")
        result = arcpoint("risk", "chaos", "none", "--arrivals", str(path), "--json", "--load", "0.1")
        assert result.code == 0, result.err
        found.append(json.loads(result.out)["results"])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("brownout",), "'brownout' is no scenario; known are none, brown-out"),
        (("none", "--load", "nan"), "Invalid value for '--load'"),
        (("none", "--seed", "-1"), "Invalid value for '--seed'"),
        (("none", "--arrivals", "no-such-file.csv"), "no-such-file.csv cannot be read"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arcpoint: Run, arguments: tuple[str, ...], said: str) -> None:
    """The line says what is accepted."""
    result = arcpoint("risk", "chaos", *arguments)
    assert result.code == 2
    assert said in result.err
    assert len(result.err.splitlines()) == 1
