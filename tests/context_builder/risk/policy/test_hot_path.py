"""The way of a decision: no I/O, no model, nothing that grows with the fleet it does not ask about."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.process
def test_a_decision_imports_neither_forecaster_nor_database() -> None:
    """What is not imported cannot be called: no model and no I/O lie on the path of a decision."""
    code = (
        "import sys, context_builder.risk.policy.decision, context_builder.risk.policy.live_load;"
        "print(sorted({'numpy', 'onnxruntime', 'sklearn', 'scipy', 'sqlalchemy', 'anthropic', 'lightgbm'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
