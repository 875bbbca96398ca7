"""Training sees the past only, is judged on what it has not seen, and leaves the old model until it ends."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from context_builder.risk.forecast.forecaster import HORIZON_MINUTES
from context_builder.risk.learning import training
from context_builder.risk.learning.model_file import newest_file, newest_model
from context_builder.risk.learning.training import (
    MIN_PAIRS,
    Pairs,
    TooLittleData,
    TrainingUnderWay,
    collect_pairs,
    train,
    train_into,
)
from context_builder.risk.measures.history import Minute
from tests.support.risk_minutes import START, fed, minute, noisy

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def minutes(steps: int, deployments: int = 2) -> list[Minute]:
    return [minute(number, row) for number, row in enumerate(noisy(steps, deployments))]


def test_pairs_are_what_was_known_with_what_came() -> None:
    """An outcome is the distance from the average when the forecast was made, in units of its scale."""
    steps = 30
    values = noisy(steps)
    pairs = collect_pairs([minute(number, row) for number, row in enumerate(values)])
    before = fed(values[: steps - HORIZON_MINUTES]).last_step
    of_p95 = np.flatnonzero(pairs.minutes == START + steps - 1)[0]
    expected = (values[-1, 0] - before.base[0]) / before.scale[0]
    assert pairs.outcomes[of_p95] == pytest.approx(expected)
    assert pairs.features[of_p95] == pytest.approx(before.features[0])
    assert len(pairs) == 2 * (steps - HORIZON_MINUTES)


def test_too_little_is_refused(tmp_path: Path) -> None:
    """With fewer than MIN_PAIRS nothing is written, and the message says how many are needed."""
    with pytest.raises(TooLittleData, match=f"{MIN_PAIRS:,} are needed"):
        train_into(tmp_path, minutes(50), NOW)
    assert newest_file(tmp_path) is None


def test_two_processes_do_not_train_at_once(tmp_path: Path) -> None:
    """The second is refused at once; when the first has ended, whatever became of it, training works."""
    with training._alone(tmp_path), pytest.raises(TrainingUnderWay, match="another process trains into"):
        train_into(tmp_path, minutes(50), NOW)
    with pytest.raises(TooLittleData):
        train_into(tmp_path, minutes(50), NOW)


def test_an_empty_history_is_too_little(tmp_path: Path) -> None:
    """No minute at all is no crash."""
    with pytest.raises(TooLittleData, match="0 forecasts"):
        train_into(tmp_path, [], NOW)


def test_a_training_that_dies_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in the middle, the model of before is still the newest, and whole."""
    history = minutes(320)
    train_into(tmp_path, history, NOW)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def dies(_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(training, "_export", dies)
    with pytest.raises(MemoryError):
        train_into(tmp_path, history, NOW.replace(day=2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    model, refused = newest_model(tmp_path)
    assert model is not None
    assert refused == ()


def test_the_held_out_part_is_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that is judged was fitted on pairs that end a horizon before those that judge it."""
    pairs = collect_pairs(minutes(320))
    fitted: list[Pairs] = []
    fit = training._fit

    def watched(some: Pairs) -> object:
        fitted.append(some)
        return fit(some)

    monkeypatch.setattr(training, "_fit", watched)
    card, _ = train(pairs, NOW)
    past, everything = fitted
    held = pairs.minutes[pairs.minutes >= np.quantile(pairs.minutes, 0.8)]
    assert past.minutes.max() < held.min() - HORIZON_MINUTES
    assert len(everything) == len(pairs) == card.pairs
    assert card.skill_against_now > 0.1


@pytest.mark.process
def test_serving_loads_neither_lightgbm_nor_scikit_learn(tmp_path: Path) -> None:
    """Forecasting with a trained model imports onnxruntime and nothing that trains."""
    train_into(tmp_path, minutes(320), NOW)
    code = (
        "import sys; from pathlib import Path\n"
        "from context_builder.risk.learning.model_file import newest_model\n"
        "from tests.support.risk_minutes import fed, noisy\n"
        "from context_builder.risk.forecast.forecaster import Forecaster\n"
        f"model, _ = newest_model(Path({str(tmp_path)!r}))\n"
        "forecaster = fed(noisy(120), Forecaster(trained=model))\n"
        "assert forecaster.panel.gate.table['counts'][0, -2] > 100, 'the model was not asked'\n"
        "loaded = {'lightgbm', 'sklearn', 'onnxmltools', 'river', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
