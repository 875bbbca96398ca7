"""Cases of a law that `make test` leaves to `make exhaustive`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thinned(cases: Iterable[Any], *, keep_every: int) -> list[Any]:
    """Every case, of which all but each `keep_every`th are marked as exhaustive."""
    return [case if number % keep_every == 0 else _exhaustive(case) for number, case in enumerate(cases)]


def _exhaustive(case: Any) -> Any:
    values, name = getattr(case, "values", None), getattr(case, "id", None)
    if isinstance(values, tuple):  # a case of pytest.param
        return pytest.param(*values, id=name, marks=pytest.mark.exhaustive)
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.exhaustive)
