"""Settings are read in one place, documented, and wrong ones are named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from api.settings import Settings, SettingsError, load_settings


def test_every_setting_is_documented_with_its_default(repository: Path) -> None:
    """docs/settings.md has a row for each, with the default that the code has."""
    page = (repository / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else str(field.default)
        assert f"| `ARCPOINT_{name.upper()}` | `{default}` |" in page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_BUDGET", "many"),
        ("TOKEN_BUDGET", "3"),
        ("EMBEDDER", "magic"),
        ("PORT", "70000"),
        ("MODEL_DEADLINE_S", "-1"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Law 10."""
    monkeypatch.setenv(f"ARCPOINT_{name}", value)
    with pytest.raises(SettingsError, match=f"^ARCPOINT_{name}='{value}': "):
        load_settings()


def test_a_secret_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API key is in no representation of the settings."""
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_API_KEY", "sk-ant-very-secret")
    assert "very-secret" not in repr(load_settings())


def test_nothing_else_reads_the_environment(repository: Path) -> None:
    """Only api/settings.py knows variables; every other file is handed values."""
    for package in ("models", "memory", "context_builder", "api"):
        for path in (repository / package).rglob("*.py"):
            if path == repository / "api" / "settings.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in ("getenv", "environ"):
                    assert ast.unparse(node.value) != "os", f"{path} reads the environment"
