"""The context sources: each module here defines `source`, so a new source is a new file."""

from __future__ import annotations

import importlib
import pkgutil

from context_builder.source import ContextSource


def discover() -> tuple[ContextSource, ...]:
    """Return every source, sorted by name.

    Raises:
        ValueError: Two sources share a reference prefix.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    sources = [importlib.import_module(f"{__name__}.{name}").source for name in names]
    prefixes = [source.prefix for source in sources]
    if len(set(prefixes)) != len(prefixes):
        raise ValueError(f"two sources share a reference prefix: {', '.join(sorted(prefixes))}")
    return tuple(sources)
