"""`arcpoint risk`: backtest, training and status, and their one-line errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.support.command_line import PAST, Run


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Noise around a level, a value a minute."""
    path = tmp_path / "series.csv"
    lines = [f"{1_700_000_000 + 60 * n},{100 + 10 * math.sin(n * n)}" for n in range(400)]
    path.write_text("time,value\n" + "\n".join(lines) + "\n")
    return path


def test_a_backtest_compares_with_simple_forecasts(arcpoint: Run, series: Path) -> None:
    """Skill, coverage, average precision and Brier skill, beside each simple forecaster."""
    result = arcpoint("risk", "backtest", str(series))
    assert result.code == 0, result.err
    for words in ("skill against", "mean30 alone", "below the 95% bound", "average precision", "Brier skill"):
        assert words in result.out
    report = json.loads(arcpoint("risk", "backtest", str(series), "--json", "--limit", "109").out)
    assert report["skill"] > 0.2
    assert report["limit"] == 109
    assert report["naive"]["now"] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [("nothing", "a backtest needs 200"), ("time,value\nnow,1\n", "line 2: “now,1” is not a time")],
)
def test_a_bad_file_is_one_line_and_exit_code_2(
    arcpoint: Run, tmp_path: Path, content: str, said: str
) -> None:
    """The line says where and what is accepted; nothing is printed else."""
    path = tmp_path / "bad.csv"
    path.write_text(content)
    result = arcpoint("risk", "backtest", str(path))
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert result.err.count("\n") == 1


def test_a_limit_that_nothing_exceeds_is_refused(arcpoint: Run, series: Path) -> None:
    """Neither is a number that a value could be compared with."""
    for limit in ("nan", "inf"):
        result = arcpoint("risk", "backtest", str(series), "--limit", limit)
        assert result.code == 2
        assert f"--limit {limit} is no number" in result.err


def test_a_missing_file_is_one_line(arcpoint: Run, tmp_path: Path) -> None:
    """It is named."""
    result = arcpoint("risk", "backtest", str(tmp_path / "none.csv"))
    assert result.code == 1
    assert "none.csv" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.database
def test_status_without_a_model_says_how_to_get_one(
    arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each deployment of the example data is listed, with the reason where nothing is forecast."""
    monkeypatch.setenv("ARCPOINT_RISK_PATH", str(tmp_path / "models"))
    result = arcpoint("risk", "status", "--as-of", PAST)
    assert result.code == 0, result.err
    assert result.out.startswith("no trained model; run `arcpoint risk train`\n")
    assert "gpt-4/aws" in result.out
    found = json.loads(arcpoint("risk", "status", "--as-of", PAST, "--json").out)
    assert found["model"] is None
    assert all(one["silence"] for one in found["outlooks"].values())


@pytest.mark.database
def test_an_objective_is_the_limit_of_the_forecasts(
    arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set, shown by status, removed; a name or a number that makes no sense changes nothing."""
    monkeypatch.setenv("ARCPOINT_RISK_PATH", str(tmp_path / "models"))

    def limit() -> float | None:
        found = json.loads(arcpoint("risk", "status", "--as-of", PAST, "--json").out)
        limit_ms: float | None = found["outlooks"]["gpt-4/aws"]["limit_ms"]
        return limit_ms

    usual = limit()
    assert arcpoint("risk", "objective", "gpt-4/aws", "1234").out == "the limit of gpt-4/aws is 1,234 ms\n"
    for wrong in (("gpt-4/awss", "5"), ("gpt-4/aws", "5", "--remove")):
        assert arcpoint("risk", "objective", *wrong).code == 2
    assert limit() == 1234
    assert arcpoint("risk", "objective", "gpt-4/aws", "--remove").code == 0
    assert limit() == usual


@pytest.mark.database
def test_a_week_without_a_test_shows_no_effect_beyond_chance(arcpoint: Run) -> None:
    """The command says how large the effect is, how sure that is, and how long a test has to be."""
    result = arcpoint("risk", "effect", "--days", "7", "--as-of", PAST)
    assert result.code == 0, result.err
    for words in ("mean latency, ms", "failed, %", "95 % interval", "A/A", "pairs to find 10 %"):
        assert words in result.out
    found = json.loads(arcpoint("risk", "effect", "--as-of", PAST, "--json").out)
    for one in found.values():
        assert one["effect"]["low"] < one["effect"]["difference"] < one["effect"]["high"]
        assert one["effect"]["pairs"] + one["effect"]["dropped"] > 100
    short = arcpoint("risk", "effect", "--days", "0.1", "--as-of", PAST)
    assert short.code == 2
    assert "pairs of blocks of 0:30:00" in short.err


@pytest.mark.database
def test_too_little_to_train_on_is_one_line(
    arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour before any traffic trains nothing, and says what is needed."""
    monkeypatch.setenv("ARCPOINT_RISK_PATH", str(tmp_path / "models"))
    result = arcpoint("risk", "train", "--days", "1", "--as-of", "2020-01-01T00:00Z")
    assert result.code == 2
    assert "are too few to train on" in result.err
    assert result.err.count("\n") == 1
