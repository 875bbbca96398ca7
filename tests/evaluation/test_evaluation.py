"""The evaluation as a whole: baselines fill their budget, a run is the same twice, scores add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from context_builder.prompt.render import SYSTEM
from context_builder.prompt.tokens import FRAMING_TOKENS, TokenBound
from context_builder.question.request import QuestionInput
from models.database import Database
from tests.evaluation.baselines import FORMATS, fill, newest_rows
from tests.evaluation.runner import single
from tests.evaluation.scenario import Scenario
from tests.evaluation.score import by_kind, missed, scores
from tests.evaluation.trial import BUDGETS, PRODUCT, Trial, context_builder, run
from tests.support.patient_sources import SOURCES

pytestmark = [pytest.mark.database, pytest.mark.process]

SEED = 9
BAD_CONFIGURATION = 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one() -> AsyncIterator[tuple[Scenario, Database]]:
    async with single(SEED, BAD_CONFIGURATION) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
async def test_baselines_fill_the_budget_and_do_not_pass_it(one: tuple[Scenario, Database]) -> None:
    """Rows are added until the next would not fit: the bound of all that is sent is just below the budget."""
    scenario, database = one
    rows = await newest_rows(database)
    tables = {row.table for row in rows}
    for form in FORMATS:
        for budget in BUDGETS:
            raw = fill(scenario.questions[0], rows, form, budget)
            whole = TokenBound().of(SYSTEM) + TokenBound().of(raw.text) + FRAMING_TOKENS
            assert whole <= raw.bound <= budget
            longest = max(TokenBound().of(row.text(form)) for row in rows[: len(raw.rows) + 1]) + 60
            assert raw.bound + longest > budget
        assert {row.table for row in raw.rows} == tables


@pytest.mark.asyncio(loop_scope="module")
async def test_a_scenario_is_in_its_database_and_its_trials_are_the_same_twice(
    one: tuple[Scenario, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method is tried with every budget, the bound holds, and a second run is equal."""
    monkeypatch.setattr("tests.evaluation.trial.SOURCES", SOURCES)
    scenario, database = one
    first, second = await run(scenario, database), await run(scenario, database)
    assert first == second
    assert len(first) == len(scenario.questions) * len(BUDGETS) * (1 + len(FORMATS))
    for trial in first:
        assert trial.bound <= trial.budget
        assert trial.held.keys() == {requirement.name for requirement in scenario.requirements}
    built = await context_builder(scenario, database).build(
        QuestionInput(question="How many requests were there?")
    )
    volume = next(source for source in built.manifest.sources if source.name == "volume")
    window = built.request.window
    counted = sum(window.start <= sent.moment < window.end for sent in scenario.ledger.requests)
    assert volume.header.startswith(f"{counted:,} requests in the window")


def trial(number: int, kind: str, budget: int, *, held: bool, rank: int | None = None) -> Trial:
    return Trial(
        scenario=number, kind=kind, question="?", method=PRODUCT, budget=budget,
        held={"a": True, "b": held}, rank=rank, findings=() if held else ("[DR1] x",),
    )  # fmt: skip


def test_scores_count_scenarios_by_all_of_their_prompts() -> None:
    """A scenario is complete when each of its prompts is; healthy ones count for false findings only."""
    trials = [
        trial(0, "flapping", 2_000, held=True, rank=2),
        trial(0, "flapping", 2_000, held=False, rank=9),
        trial(1, "flapping", 2_000, held=True, rank=5),
        trial(2, "healthy but noisy", 2_000, held=False),
    ]
    (score,) = scores(trials)
    assert (score.scenarios, score.complete, score.prompts, score.complete_prompts) == (2, 1, 3, 2)
    assert (score.held, score.needed, score.first, score.median_rank) == (5, 6, 2, 5)
    assert (score.healthy, score.false_findings) == (1, 1)
    assert by_kind(trials, PRODUCT, 2_000) == {"flapping": (1, 2)}
    assert missed(trials, PRODUCT, 2_000)[0] == ("flapping", "b", 1, 3)


def test_a_wrong_argument_is_one_clear_line(repository: Path) -> None:
    """Law 10: what was wrong and what would be accepted."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.evaluation", "--scenarios", "none"],
        cwd=repository,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith("'none' is not a whole number above 0")


def test_a_run_that_is_stopped_reports_what_is_done(repository: Path, tmp_path: Path) -> None:
    """On Ctrl-C the tables and the file hold the finished scenarios, and nothing is left behind."""
    found = tmp_path / "found.json"
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.evaluation",
            "--prompts",
            "--scenarios",
            "45",
            "--processes",
            "1",
            "--json",
            str(found),
        ],
        cwd=repository,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        while b"/45 scenarios" not in (line := os.read(running.stderr.fileno(), 65_536)):
            assert line, "ended before anything was done"
        running.send_signal(signal.SIGINT)
        printed = running.stdout.read().decode()
        running.wait()
    assert running.returncode == 130
    assert "latency step" in printed
    document = json.loads(found.read_text())
    assert {trial["scenario"] for trial in document["trials"]} <= set(range(4))
    assert not list((tmp_path / "temporary").iterdir())
