"""Keys of this installation: files of random bytes, made when first needed, readable by their owner only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from api.settings import SettingsError

_KEY_BYTES = 32


def key_in(path: Path, variable: str, *, may_write: bool) -> bytes:
    """Return the key of a file, which `variable` names. Reads the disk; raises SettingsError.

    A process that may not write, and finds no key, has one of its own.
    """
    key = _read_key(path, variable)
    if key is None:
        key = secrets.token_bytes(_KEY_BYTES)
        if may_write and not _write_key(path, key):
            key = _read_key(path, variable) or key
    return key


def _read_key(path: Path, variable: str) -> bytes | None:
    """Return the key, None if there is no file. Raises SettingsError."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{variable}={path}: {error.strerror}") from None
    if len(key) < _KEY_BYTES:
        raise SettingsError(
            f"{variable}={path}: the file has {len(key)} bytes; give at least {_KEY_BYTES} "
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
