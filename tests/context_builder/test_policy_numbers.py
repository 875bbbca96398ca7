"""The policy numbers are those of docs/policy.md."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest

ROW = re.compile(r"^\| `(\w+)` \| ([\d.]+)(?: (\w+))? \| .+ \| `([\w.]+)` \|$", re.MULTILINE)
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
ROWS = ROW.findall((Path(__file__).parents[2] / "docs" / "policy.md").read_text("utf-8"))


@pytest.mark.parametrize(("name", "number", "unit", "module"), ROWS, ids=lambda value: value)
def test_a_policy_number_is_the_one_on_the_page(name: str, number: str, unit: str, module: str) -> None:
    """A threshold and its row on the page change together."""
    expected = float(number) * UNITS[unit] if unit else float(number)
    assert getattr(import_module(module), name) == expected


@pytest.mark.parametrize("folder", ["sources", "exploration/series"])
def test_every_notable_change_is_on_the_page(repository: Path, folder: str) -> None:
    """A threshold that a source or a metric adds is listed, too."""
    names = {
        name
        for path in (repository / "context_builder" / folder).glob("*.py")
        for name in re.findall(
            r"^((?:NOTABLE|MIN)_\w+|\w+_(?:AFTER|WITHIN)) = ", path.read_text("utf-8"), re.MULTILINE
        )
    }
    assert names <= {row[0] for row in ROWS}
