"""Generic package names: a foreign package of the same name is refused at once, with the cause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process


def test_a_package_that_hides_ours_is_named(tmp_path: Path, repository: Path) -> None:
    """The import fails with one sentence that names the package, both places and the remedy."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(repository)!r}]; import api"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Arcpoint needs its own package 'models'")
    assert str(tmp_path) in last
    assert "environment of its own" in last


def test_the_public_names_are_the_ones_that_are_promised() -> None:
    """`__all__` can be imported, and a wrong name is an AttributeError."""
    script = "import api; [getattr(api, name) for name in api.__all__]; print(hasattr(api, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
