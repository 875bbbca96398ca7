"""The redaction of the settings; its key lies in a file, so that equal secrets are equal in every run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from api.settings import Settings, SettingsError
from context_builder.text.redaction import Redaction

_KEY_BYTES = 32


def make_redaction(settings: Settings, *, can_reveal: bool = False) -> Redaction:
    """Return the redaction for everything that leaves this process. Reads the disk; raises SettingsError.

    A process that may not write, and finds no key, has one of its own.
    """
    key = _read_key(settings.redaction_key_path)
    if key is None:
        key = secrets.token_bytes(_KEY_BYTES)
        if not settings.read_only and not _write_key(settings.redaction_key_path, key):
            key = _read_key(settings.redaction_key_path) or key
    return Redaction(key, personal=settings.personal_kinds, can_reveal=can_reveal)


def _read_key(path: Path) -> bytes | None:
    """Return the key, None if there is no file. Raises SettingsError."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"ARCPOINT_REDACTION_KEY_PATH={path}: {error.strerror}") from None
    if len(key) < _KEY_BYTES:
        raise SettingsError(
            f"ARCPOINT_REDACTION_KEY_PATH={path}: the file has {len(key)} bytes; give at least {_KEY_BYTES} "
            "random ones, or remove it to have a new key made"
        )
    return key


def _write_key(path: Path, key: bytes) -> bool:
    """Store a new key for its owner only; False if another process was faster, or nothing can be written."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes(key)
        os.link(draft, path)  # which fails if it exists, and never shows half a key
    except OSError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True
