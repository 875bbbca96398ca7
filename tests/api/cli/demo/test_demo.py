"""`arcpoint demo`: answers about a week that ends now and a postmortem, without touching anything else."""

from __future__ import annotations

import fcntl
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.cli.demo.command import QUESTIONS
from api.cli.demo.files import MARKER, DemoFiles, open_demo_folder
from api.demo_data.generator import TABLES
from models.database import parse_url
from tests.support.command_line import Run, Start, finished


@pytest.mark.model
def test_grounded_answers_and_a_postmortem_about_now(
    start: Start, arcpoint: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question is answered from facts of all sources; the user's own database and memory stay shut."""
    own = tmp_path / "own"
    monkeypatch.setenv("ARCPOINT_EMBEDDER", "sentence-transformers")
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", f"sqlite:///{own}/arcpoint.db")
    monkeypatch.setenv("ARCPOINT_MEMORY_PATH", str(own / "memory"))
    monkeypatch.setenv("ARCPOINT_MEMORY_URL", "http://127.0.0.1:9")
    started = datetime.now(UTC)
    result = finished(start("demo", "--folder", tmp_path / "demo"))
    assert (result.code, result.err) == (0, "")
    whole, _, postmortem = result.out.partition("\n## The postmortem of inc_0118\n")
    whole, _, fault = whole.partition("\n## arcpoint risk chaos latency-ramp\n")
    whole, _, chat = whole.partition("\n## A conversation through arcpoint proxy, ")
    answers = whole.split("\n## ")
    assert [answer.splitlines()[0] for answer in answers[1:]] == list(QUESTIONS)
    for answer in answers[1:]:
        assert re.search(r" \[[A-Z]\d+\]$", answer, re.MULTILINE), "facts are cited"
        assert "could not be read" not in answer
        assert "\x1b" not in answer
    assert "llama-70b/neocloud (fra-2) is DOWN" in answers[1]
    assert "v2.4.0" in answers[2]
    assert "responses slowed down since " in answers[2], "an onset"
    assert "Likely cause: premium_spill_after_ms of router" in answers[2], "and what may have caused it"
    assert "requests by tier: " in answers[3]
    assert re.search(r"inc_01\d\d \(similarity .* past fix: «", answers[4]), "a precedent with its fix"
    assert answers[5].splitlines()[2].startswith("next 5 minutes: ")
    before, during = re.split(r"^\d\d:\d\d  client: ", chat, flags=re.MULTILINE)[1:]
    assert "API: the same 131 bytes" in before
    assert "- health: llama-70b/neocloud (fra-2) is DOWN" in during
    policies = ("this policy", "peak EWMA + breaker", "P2C + peak EWMA", "plain breaker", "round robin")
    assert all(policy in fault for policy in policies)
    assert len(fault.strip().splitlines()) <= 10
    assert "requests reached gpt-4/k8s in the 5 h 40 min from" in postmortem, "impact, from SQL"
    assert "Recorded fix: «Paused the rollout" in postmortem
    [written] = (tmp_path / "demo" / "demo-postmortems").glob("*.md")
    assert f"the evidence for every figure: {written}\n" in postmortem
    assert "\n## Evidence\n" in written.read_text()
    assert not own.exists()

    posted = re.search(
        r"^POST /v1/ingest/\{kind\} accepted .* in \d+\.\d s: requests ([\d,]+), ", result.out, re.MULTILINE
    )
    assert posted is not None
    anchor = re.search(r"ending (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", result.out)
    assert anchor is not None
    ended = datetime.strptime(anchor.group(1), "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert started - timedelta(minutes=1) <= ended <= datetime.now(UTC)

    next_command = re.search(
        r"ARCPOINT_DATABASE_URL=(\S+) ARCPOINT_MEMORY_PATH=(\S+) ARCPOINT_MEMORY_URL='' arcpoint chat",
        result.out,
    )
    assert next_command is not None
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", next_command.group(1))
    rows = json.loads(arcpoint("db", "status", "--json").out)["rows"]
    assert (rows["questions"], rows["postmortems"]) == (len(QUESTIONS) + 1, 1)
    assert f"{rows['requests']:,}" == posted[1]
    entries = json.loads(arcpoint("audit", "list", "--action", "ingest", "--json").out)["entries"]
    assert {each["subject"] for each in entries} == set(TABLES), "every kind came in as a post"


def test_a_demo_folder_is_emptied_of_a_demo_only(tmp_path: Path) -> None:
    """A second demo starts from nothing; files beside it stay; folders of other people are refused."""
    folder = tmp_path / "demo"
    with open_demo_folder(folder) as files:
        files.database.write_text("old")
        files.memory.mkdir()
        (files.memory / "old").touch()
        (folder / "notes.txt").touch()
    with open_demo_folder(folder) as files:
        assert not files.database.exists()
        assert not files.memory.exists()
        assert (folder / "notes.txt").exists()


def test_two_demos_do_not_share_a_folder(arcpoint: Run, tmp_path: Path) -> None:
    """While one runs, another one is refused; one that was killed is no hindrance."""
    (tmp_path / MARKER).touch()
    with (tmp_path / MARKER).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = arcpoint("demo", "--folder", tmp_path)
        assert (result.code, result.out) == (1, "")
        assert "another demo is running in" in result.err


def test_any_folder_name_makes_a_url(tmp_path: Path) -> None:
    """A folder with characters that mean something in a URL is found again."""
    files = DemoFiles(tmp_path / "50% of #1 ? café")
    assert parse_url(files.database_url).database == str(files.database)
