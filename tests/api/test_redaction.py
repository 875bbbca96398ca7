"""The key of the placeholders: made once, for its owner only, and the same in every run."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.redaction import make_redaction
from api.settings import Settings, SettingsError

SECRET = "password=hunter22"


def settings(path: Path, **values: object) -> Settings:
    return Settings.model_validate({"redaction_key_path": path, **values})


def test_equal_secrets_have_equal_placeholders_in_every_run(tmp_path: Path) -> None:
    """The file is made by the first, readable by its owner only, and read by the others."""
    path = tmp_path / "new" / "redaction.key"
    first = make_redaction(settings(path))(SECRET)
    assert make_redaction(settings(path))(SECRET) == first
    assert make_redaction(settings(tmp_path / "other.key"))(SECRET) != first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_process_that_may_not_write_makes_no_file(tmp_path: Path) -> None:
    """Secrets are replaced all the same, under a key of its own."""
    path = tmp_path / "redaction.key"
    assert "hunter22" not in make_redaction(settings(path, read_only=True))(SECRET)
    assert not path.exists()


def test_a_short_key_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    """Law 10: what was wrong, and what would be accepted."""
    path = tmp_path / "redaction.key"
    path.write_bytes(b"short")
    with pytest.raises(SettingsError, match="has 5 bytes; give at least 32 random ones"):
        make_redaction(settings(path))
    with pytest.raises(
        ValueError, match="'mail' is unknown; give some of email, iban, card, phone, ip, or all"
    ):
        settings(path, redact_personal="phone, mail")


def test_personal_data_is_replaced_by_setting(tmp_path: Path) -> None:
    """Nothing of it by default, all of it by one word."""
    path = tmp_path / "redaction.key"
    text = "bob@example.com from 10.0.0.7"
    assert make_redaction(settings(path))(text) == text
    assert make_redaction(settings(path, redact_personal="all"))(text).count("<PERSON:") == 2
