"""docs/architecture.md says what is true: the tree, its docstrings, the order of imports, every path."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

PACKAGES = ("context_builder", "memory", "models", "api")
_ROW = re.compile(r"^\| (?:`([\w/.]+)`|\*(\w+)\*) \| (.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "architecture.md").read_text("utf-8")


def rows(page: str, package: str) -> list[tuple[str, str, bool]]:
    """Return name, text and whether it is planned, for each row of a package's table."""
    table = page.partition(f"### {package}\n")[2].partition("\n### ")[0]
    return [(there or planned, text, bool(planned)) for there, planned, text in _ROW.findall(table)]


def summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring, path
    return docstring.splitlines()[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_every_folder_and_loose_file_with_its_docstring(
    page: str, repository: Path, package: str
) -> None:
    """A row is missing, too many or untrue exactly when this test fails."""
    home = repository / package
    folders = {f"{path.parent.relative_to(home)}/": summary(path) for path in home.rglob("*/__init__.py")}
    files = {path.name: summary(path) for path in home.glob("*.py") if path.name != "__init__.py"}
    assert {name: text for name, text, planned in rows(page, package) if not planned} == folders | files


@pytest.mark.parametrize("package", ["context_builder", "memory", "api"])
def test_the_page_lists_a_package_in_the_order_of_its_import_contract(
    page: str, repository: Path, package: str
) -> None:
    """What stands higher may import what stands lower, as the contract in pyproject.toml enforces."""
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each.get("containers") == [package])
    ordered = [name.strip("() ") for layer in layers for name in layer.split("|")]
    listed = [re.sub(r"(/.*|\.py)$", "", name) for name, _, _ in rows(page, package)]
    assert list(dict.fromkeys(listed)) == ordered


def test_every_path_that_the_page_names_exists(page: str, repository: Path) -> None:
    """A reader who follows a path finds a file or a folder."""
    named = set(re.findall(r"`((?:context_builder|memory|models|api|tests|alembic|docs)/[\w/.]*)`", page))
    assert len(named) > 20
    assert not {path for path in named if not (repository / path).exists()}


def test_no_folder_holds_more_files_than_can_be_overlooked(repository: Path) -> None:
    """At most 15 files lie side by side; sources are one each, and are found by name."""
    crowded = {}
    for package in PACKAGES:
        for folder in (repository / package, *(repository / package).rglob("*/")):
            count = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
            if count > 15:
                crowded[str(folder.relative_to(repository))] = count
    assert set(crowded) == {"context_builder/sources"}


@pytest.mark.parametrize("page", ["docs/laws.md", "CONTRIBUTING.md", "docs/glossary.md", "docs/policy.md"])
def test_every_test_and_module_that_a_page_names_exists(repository: Path, page: str) -> None:
    """A law without its test, or a term without its module, is a page that has grown old."""
    text = (repository / page).read_text("utf-8")
    names = set(re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", text))
    there = {path.name for package in (*PACKAGES, "tests") for path in (repository / package).rglob("*.py")}
    assert names - there == set()
