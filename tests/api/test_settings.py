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
        ("MEMORY_URL", "chroma:8000"),
        ("MEMORY_URL", "http://chroma:80000"),
        ("MEMORY_URL", "http://chroma:8000/api"),
        ("MEMORY_URL", "localhost"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Law 10."""
    monkeypatch.setenv(f"ARCPOINT_{name}", value)
    with pytest.raises(SettingsError, match=f"^ARCPOINT_{name}='{value}': "):
        load_settings()


def test_a_secret_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and tokens are in no representation of the settings, and in no complaint about them."""
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_API_KEY", "sk-ant-very-secret")
    monkeypatch.setenv("ARCPOINT_MEMORY_TOKEN", "very-secret")
    assert "very-secret" not in repr(load_settings())
    monkeypatch.setenv("ARCPOINT_MEMORY_TOKEN", "very-secret words")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "ARCPOINT_MEMORY_TOKEN=***: a token is made of visible ASCII characters, without blanks"
    )
    monkeypatch.delenv("ARCPOINT_MEMORY_TOKEN")
    monkeypatch.setenv("ARCPOINT_MEMORY_URL", "https://me:very-secret@chroma:8000")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "ARCPOINT_MEMORY_URL='https://***@chroma:8000': no user or password can be in it; "
        "a token goes into ARCPOINT_MEMORY_TOKEN"
    )


@pytest.mark.long
def test_nothing_else_reads_the_environment(repository: Path) -> None:
    """Only api/settings.py knows variables; every other file is handed values."""
    for package in ("models", "memory", "context_builder", "api"):
        for path in (repository / package).rglob("*.py"):
            if path == repository / "api" / "settings.py":
                continue
            text = path.read_text()
            if "environ" not in text and "getenv" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Attribute) and node.attr in ("getenv", "environ"):
                    assert ast.unparse(node.value) != "os", f"{path} reads the environment"
