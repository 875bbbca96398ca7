"""Modules of libraries without their packages."""

from __future__ import annotations

import pytest

from context_builder.submodule import load_submodule


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_library.part", "no_such_library is not installed; reinstall Arcpoint"),
        (
            "numpy.linalg.no_such_part",
            r"numpy/__init__.py has no module numpy.linalg.no_such_part; reinstall",
        ),
    ],
)
def test_what_is_missing_is_named(name: str, said: str) -> None:
    """A library that is absent, or of a version with other files, is one sentence."""
    with pytest.raises(ImportError, match=said):
        load_submodule(name)
