"""Decoders of foreign formats: each module here defines `receiver`, so a new format is a new file."""

from __future__ import annotations

import importlib
import pkgutil

from api.ingest.live.message import Receiver


def discover() -> dict[str, Receiver]:
    """Return every receiver by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Receiver] = [importlib.import_module(f"{__name__}.{name}").receiver for name in names]
    return {receiver.name: receiver for receiver in found}
