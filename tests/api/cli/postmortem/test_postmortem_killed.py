"""A run of `arcpoint postmortem` that is killed loses no reply that had arrived, and pays for none again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.loopback.messages_api import API_KEY, MessagesApi, Reply
from tests.support.command_line import Run, Start, finished
from tests.support.stored_postmortems import StoredPostmortems, bodies
from tests.support.thinning import thinned

pytestmark = pytest.mark.process

TWO = ("--incident", "inc_0101", "--incident", "inc_0102", "--concurrency", "1")
FOUR = [word for number in range(101, 105) for word in ("--incident", f"inc_{number:04}")]

DYING = """
import os, signal
from context_builder.llm.message_events import Transcript
from context_builder.postmortems.journal import CallJournal
from context_builder.postmortems.writer import PostmortemWriter
from context_builder.answer.question_log import QuestionLog

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    original = getattr(owner, name)
    async def step(*given, **named):
        await original(*given, **named)
        die()
    setattr(owner, name, step)

def before(owner, name):
    setattr(owner, name, die)

def before_second(owner, name):
    # The first file proves that the folder can be written.
    original = getattr(owner, name)
    def step(*given):
        setattr(owner, name, die)
        original(*given)
    setattr(owner, name, step)
"""

STEPS = {
    "claimed": ("after(CallJournal, 'claim')", 0),
    "built": ("after(CallJournal, 'built')", 0),
    "about to be sent": ("after(CallJournal, 'confirm')", 0),
    "while the reply arrives": ("before(Transcript, '_append')", 1),
    "arrived, not stored yet": ("before(CallJournal, 'replied')", 1),
    "stored": ("after(CallJournal, 'replied')", 0),
    "before the document": ("before(PostmortemWriter, 'finish')", 0),
    "within the last transaction": ("after(QuestionLog, 'record_in')", 0),
    "committed, without a file": ("after(PostmortemWriter, '_store')", 0),
    "within the file": ("before_second(os, 'fsync')", 0),
}
"""Where it dies, and how many calls are lost: only one whose reply had not arrived and been stored."""


@pytest.mark.parametrize("step", thinned(STEPS, keep_every=3))
def test_whatever_had_arrived_is_used(
    step: str, start: Start, arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """After SIGKILL at a step the next run writes both incidents; every other call is made once."""
    patch, lost = STEPS[step]
    out = tmp_path / "out"
    out.mkdir()
    code = f"{DYING}\n{patch}\nfrom api.cli import main\nmain()"
    ended = finished(start("postmortem", "--out", out, *TWO, code=code))
    assert ended.code == -signal.SIGKILL, ended.err
    result = json.loads(arcpoint("postmortem", "--out", out, *TWO, "--json").out)
    assert (result["failed"], result["left"]) == ([], 0)
    assert len(with_model.messages) == 2 + lost
    assert sorted(stored.all()) == ["inc_0101", "inc_0102"]
    assert bodies(out) == stored.all()
    assert stored.count("questions") == 2
    assert stored.count("postmortem_calls") == 0
    assert arcpoint("postmortem", "--out", out, *TWO).out.startswith("nothing to do")


@pytest.mark.parametrize("step", ["stored", "within the last transaction"])
def test_postgresql_keeps_what_had_arrived_as_well(
    step: str,
    postgres_story_url: str,
    start: Start,
    arcpoint: Run,
    with_model: MessagesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The same on a server, on which the killed process's transaction may still end by itself."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", postgres_story_url)
    code = f"{DYING}\n{STEPS[step][0]}\nfrom api.cli import main\nmain()"
    ended = finished(start("postmortem", "--out", tmp_path / "out", *TWO, code=code))
    assert ended.code == -signal.SIGKILL, ended.err
    result = json.loads(arcpoint("postmortem", "--out", tmp_path / "out", *TWO, "--json").out)
    assert (len(result["written"]), result["failed"], len(with_model.messages)) == (2, [], 2)


@pytest.mark.both_databases
def test_two_runs_at_once_pay_for_each_incident_once(
    story_url: str,
    start: Start,
    arcpoint: Run,
    messages_api: MessagesApi,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """On both kinds of database; neither fails, and together they write everything that they are to."""
    monkeypatch.setenv("ARCPOINT_DATABASE_URL", story_url)
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_API_KEY", API_KEY)
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_BASE_URL", messages_api.url)
    messages_api.always(Reply(delay_s=0.01))
    running = [start("postmortem", "--out", tmp_path / name, *FOUR, "--json") for name in ("one", "other")]
    ended = [finished(process) for process in running]
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    written = [entry["incident"] for each in ended for entry in json.loads(each.out)["written"]]
    assert len(written) == len(set(written)) == len(messages_api.messages) == 4
    there = json.loads(arcpoint("postmortem", "list", "--json").out)["postmortems"]
    assert {each["incident"] for each in there} == set(written)
