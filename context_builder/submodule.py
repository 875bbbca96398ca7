"""Loads one module of a library without its packages, whose `__init__` may import what nobody needs."""

from __future__ import annotations

from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any


@cache
def load_submodule(name: str) -> Any:
    """Return the module of a dotted name, loaded by its file; it must import nothing from its packages.

    Raises ImportError, which names the library to reinstall.
    """
    library, *folders, _ = name.split(".")
    package = find_spec(library)
    if package is None or package.origin is None:
        raise ImportError(f"{library} is not installed; reinstall Arcpoint", name=library)
    spec = PathFinder.find_spec(name, [str(Path(package.origin).parent.joinpath(*folders))])
    if spec is None or spec.loader is None:
        raise ImportError(f"{package.origin} has no module {name}; reinstall Arcpoint", name=name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
