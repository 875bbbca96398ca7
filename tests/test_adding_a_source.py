"""The page on adding a source: anyone who follows it has a source that keeps every law."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-a-source.md"
_FILE = re.compile(r"^`(?P<path>[\w/]+\.py)`:\n\n```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_COPIED = ("alembic", "api", "context_builder", "docs", "memory", "models", "tests", "pyproject.toml")


def test_a_source_made_by_following_the_page_passes_every_test_of_sources(tmp_path: Path) -> None:
    """One file and one test, copied from the page into a copy of the project, are all it takes."""
    for name in _COPIED:
        origin = ROOT / name
        if origin.is_dir():
            # With what is compiled already, but not with what another process is just writing.
            shutil.copytree(origin, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(origin, tmp_path / name)
    files = {match["path"]: match["code"] for match in _FILE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert sorted(files) == [
        "context_builder/sources/tokens.py",
        "tests/context_builder/sources/test_tokens.py",
    ]
    for path, code in files.items():
        assert not (tmp_path / path).exists(), "the example of the page must not exist yet"
        (tmp_path / path).write_text(code, encoding="utf-8")
    sources = "tests/context_builder/sources"
    # It is no worker of this run, and must not share databases with one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
         f"{sources}/test_tokens.py", sources, "-k", "tokens or prefixes"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-1000:]
    passed = re.search(r"(\d+) passed", outcome.stdout)
    assert passed is not None
    assert int(passed[1]) >= 6
    for linter in (["ruff", "check"], ["ruff", "format", "--check"]):
        checked = subprocess.run(
            [sys.executable, "-m", *linter, *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
