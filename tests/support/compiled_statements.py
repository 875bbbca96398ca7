"""What SQLAlchemy compiles, shared by the many short-lived engines of the tests."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy.util import LRUCache

_Key = tuple[Hashable, ...]


class CompiledStatements(LRUCache[_Key, Any]):
    """A cache for all engines of a dialect: its keys hold the class of the dialect instead of the object."""

    def __init__(self) -> None:
        """Keep as many as the product and its tests have, so that none is compiled again."""
        super().__init__(10_000)

    def get(self, key: _Key, default: Any = None) -> Any:
        return super().get(_of_any_engine(key), default)

    def __setitem__(self, key: _Key, value: Any) -> None:
        super().__setitem__(_of_any_engine(key), value)


def _of_any_engine(key: _Key) -> _Key:
    dialect, *rest = key
    return (type(dialect), *rest)
