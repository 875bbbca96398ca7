"""The redaction of the settings; its key lies in a file, so that equal secrets are equal in every run."""

from __future__ import annotations

from api.key_file import key_in
from api.settings import Settings
from context_builder.text.redaction import Redaction


def make_redaction(settings: Settings, *, can_reveal: bool = False) -> Redaction:
    """Return the redaction for everything that leaves this process. Reads the disk; raises SettingsError."""
    key = key_in(settings.redaction_key_path, "ARCPOINT_REDACTION_KEY_PATH", may_write=not settings.read_only)
    return Redaction(key, personal=settings.personal_kinds, can_reveal=can_reveal)
