"""Each package lists its errors in the tree at the top of its `errors` module."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic_core import PydanticCustomError

PACKAGES = ("models", "memory", "context_builder", "api")


def documented_tree(docstring: str) -> dict[str, str | None]:
    """Return the parent of each class that the tree in a docstring names; the root has None."""
    parents: dict[str, str | None] = {}
    branch: list[str] = []
    for line in docstring.split("\n\n")[1].splitlines():
        indent, name = re.findall(r"^([ │├└─]*)(\w+)", line)[0]
        branch[len(indent) // 4 :] = [name]
        parents[name] = branch[-2] if len(branch) > 1 else None
    return parents


def error_classes(package: str) -> Iterator[type[BaseException]]:
    """Yield every exception class that a module of the package defines."""
    for entry in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        for value in vars(importlib.import_module(entry.name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, BaseException)
                and not issubclass(value, PydanticCustomError)  # pydantic catches those itself
                and value.__module__ == entry.name
            ):
                yield value


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_derives_from_the_package_base_and_is_in_the_tree(package: str) -> None:
    """The documented tree is the class hierarchy, with one root."""
    tree = documented_tree(importlib.import_module(f"{package}.errors").__doc__ or "")
    hierarchy = {error.__name__: error.__mro__[1].__name__ for error in error_classes(package)}
    root = next(iter(tree))
    assert hierarchy == {**tree, root: "Exception"}
