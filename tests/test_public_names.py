"""Each package exports its public names; the lazy ones load nothing heavy until a name is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"sqlalchemy", "anthropic", "pydantic", "structlog", "torch", "chromadb"}


@pytest.mark.parametrize("package", ["api", "context_builder", "memory", "models"])
def test_every_public_name_can_be_imported(package: str, repository: Path) -> None:
    """`__all__` has no duplicates, every name in it exists, and type checkers know the package is typed."""
    module = importlib.import_module(package)
    names: list[str] = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    assert all(hasattr(module, name) for name in names)
    assert not hasattr(module, "no_such_name")
    assert (repository / package / "py.typed").is_file()


@pytest.mark.process
@pytest.mark.parametrize("package", ["api", "context_builder"])
def test_a_lazy_package_loads_nothing_heavy(package: str, repository: Path) -> None:
    """Importing it loads neither database, SDK nor models; type checkers see the names that it resolves."""
    script = f"import sys, {package}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
    tree = ast.parse((repository / package / "__init__.py").read_text("utf-8"))
    typed = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in ast.walk(block)
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert typed == set(importlib.import_module(package).__all__)
