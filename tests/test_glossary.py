"""docs/glossary.md lists each term once, in order, with modules that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ENTRY = re.compile(r"^- \*\*(.+?)\*\*: .+?((?: ?`[\w/.]+`,?)+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def entries(repository: Path) -> list[tuple[str, list[str]]]:
    """The terms of the page with the paths that own them."""
    page = (repository / "docs" / "glossary.md").read_text("utf-8")
    found = [(term, re.findall("`(.+?)`", paths)) for term, paths in _ENTRY.findall(page)]
    assert len(found) == page.count("\n- ")
    return found


def test_terms_are_unique_and_in_alphabetical_order(entries: list[tuple[str, list[str]]]) -> None:
    """A reader finds a term by its first letter."""
    terms = [term.casefold() for term, _ in entries]
    assert terms == sorted(set(terms))


def test_every_owner_exists(entries: list[tuple[str, list[str]]], repository: Path) -> None:
    """Every entry ends with the module or folder that owns the term."""
    assert [path for _, paths in entries for path in paths if not (repository / path).exists()] == []
