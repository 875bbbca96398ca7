"""The context sources. Each module here defines `source`; adding one is adding a file."""

from __future__ import annotations

import importlib
import pkgutil

from context_builder.source import ContextSource


def discover() -> tuple[ContextSource, ...]:
    """Every source, in the order of their names. Raises ValueError when two share a prefix."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    sources = [importlib.import_module(f"{__name__}.{name}").source for name in names]
    prefixes = [source.prefix for source in sources]
    if len(set(prefixes)) != len(prefixes):
        raise ValueError(f"two sources share a reference prefix: {', '.join(sorted(prefixes))}")
    return tuple(sources)
