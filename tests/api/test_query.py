"""`query_ai`: usable from a three-line script, and inside a service without a second engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import api.query
import api.services
from api import QuestionError, ScopeNames, query_ai
from api.query import serving
from api.settings import Settings, SettingsError
from models.errors import DatabaseNotMigrated
from tests.support.patience import PATIENCE_S

SCRIPT = """
import asyncio
from api import query_ai
print(asyncio.run(query_ai("Which deployments are unhealthy?")).text)
"""


def run_script(repository: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, in which every warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=repository,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def environment(sqlite_story_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The story as the database that the environment names, with an empty memory."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", sqlite_story_url)
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(tmp_path / "memory"))
    monkeypatch.setenv("ARCPOINT_EMBEDDER", "hashing")
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every opening of the services."""
    openings: list[Settings] = []
    real = api.services.open_services

    def counting(settings: Settings, **options: Any):  # type: ignore[no-untyped-def]  # noqa: ANN202
        openings.append(settings)
        return real(settings, **options)

    monkeypatch.setattr(api.query, "open_services", counting)
    return openings


@pytest.mark.process
@pytest.mark.usefixtures("environment")
def test_a_script_of_three_lines_prints_an_answer_and_nothing_else(repository: Path) -> None:
    """No warning, no leaked process: standard error stays empty."""
    done = run_script(repository, SCRIPT)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "llama-70b/neocloud" in done.stdout


@pytest.mark.usefixtures("environment")
async def test_calls_of_one_loop_share_one_opening(opened: list[Settings]) -> None:
    """Many calls, at once and one after another, open database and memory once."""
    await asyncio.gather(*(query_ai("What is down?") for _ in range(5)))
    await query_ai("And now?")
    assert len(opened) == 1


@pytest.mark.usefixtures("environment")
async def test_inside_a_service_its_own_parts_are_used(opened: list[Settings]) -> None:
    """`query_ai` opens nothing where services are running."""
    async with serving(Settings()):
        await query_ai("What is down?")
    assert len(opened) == 1


@pytest.mark.usefixtures("environment")
async def test_arguments_win_over_the_text() -> None:
    """An explicit scope and window are what is read."""
    answer = await query_ai(
        "How slow are budget users this week?", scope=ScopeNames(tiers=("premium",)), token_budget=3000
    )
    assert answer.manifest.scope == ("tier premium",)
    assert answer.manifest.token_bound <= 3000


async def test_each_cause_of_failure_has_its_own_error(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 10: bad question, bad setting, missing database; and the next call tries again."""
    with pytest.raises(QuestionError, match="empty"):
        await query_ai(" ")
    good = os.environ["ARCPOINT_DATABASE_URL"]
    api.query._opened.clear()
    monkeypatch.setenv("ARCPOINT_TOKEN_BUDGET", "many")
    with pytest.raises(SettingsError, match="ARCPOINT_TOKEN_BUDGET='many'"):
        await query_ai("What is down?")
    monkeypatch.delenv("ARCPOINT_TOKEN_BUDGET")
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", f"sqlite:///{environment}/none.db")
    with pytest.raises(DatabaseNotMigrated, match="arcpoint db upgrade"):
        await query_ai("What is down?")
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", good)
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(environment / "other-memory"))
    assert (await query_ai("What is down?")).citations


@pytest.mark.process
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("after_s", [0.5, pytest.param(0.05, marks=pytest.mark.exhaustive)])
def test_a_loop_that_ends_while_memory_starts_leaves_nothing_open(repository: Path, after_s: float) -> None:
    """At whatever moment the program stops asking, it ends without a warning and without a process left."""
    script = f"""
import asyncio, contextlib
from api import query_ai
async def main():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout({after_s}):
            await query_ai("What is down?")
            await asyncio.sleep(60)
asyncio.run(main())
"""
    done = run_script(repository, script)
    assert (done.stderr, done.returncode) == ("", 0)
