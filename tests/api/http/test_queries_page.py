"""The page on the queries: its program runs, and its addresses and names exist."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from api.http.app import create_app
from context_builder import queries
from tests.support.http_service import settings_of

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "queries.md").read_text()


@pytest.mark.process
async def test_the_program_runs_on_the_story(page: str, repository: Path, sqlite_story_url: str) -> None:
    """As it stands, in a process of its own."""
    (program,) = [code for language, code in BLOCK.findall(page) if language == "python"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program,
        cwd=repository,
        env=dict(os.environ) | {"ARCPOINT_DATABASE_URL": sqlite_story_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert len(out.decode().splitlines()) == 3


@pytest.mark.long
def test_every_address_is_served(page: str, tmp_path: Path) -> None:
    """Those of the table, those of the examples, and no other query is served."""
    paths = create_app(settings_of("sqlite:///none.db", tmp_path)).openapi()["paths"]
    told = set(re.findall(r"`GET (/v1/\S+)`", page))
    assert told == {
        path for path, methods in paths.items() if methods.get("get", {}).get("tags") == ["queries"]
    }
    examples = re.findall(r"\$ARCPOINT(/v1/[^\"]+)\"", page)
    patterns = [re.compile(re.sub(r"\{\w+\}", r"[^/]+", path)) for path in told]
    assert len(examples) == len(told)
    assert all(any(pattern.fullmatch(example) for pattern in patterns) for example in examples)


def test_every_query_is_on_the_page(page: str) -> None:
    """All functions of the package but the one that makes sessions; and all names in `__all__` exist."""
    functions = {name for name in queries.__all__ if name.islower()} - {"query_session"}
    assert functions == set(re.findall(r"`(\w+)\(session", page))
    assert all(hasattr(queries, name) for name in queries.__all__)
