"""`arcpoint postmortem`: nothing is lost and nothing is paid for twice, however a run ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.loopback.messages_api import API_KEY, Fail, Hang, MessagesApi, Reply
from tests.support.command_line import Run, Start
from tests.support.patience import PATIENCE_S
from tests.support.stored_postmortems import RESOLVED, StoredPostmortems, bodies, wait_until

pytestmark = pytest.mark.process


def test_a_killed_run_is_continued_without_repeating_anything(
    start: Start, arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """After SIGKILL the next run makes the calls whose answers were not stored, and every missing file."""
    with_model.script(Reply(), Reply(), Reply())
    with_model.always(Hang(seconds=PATIENCE_S, after_pieces=1))
    process = start("postmortem", "--out", tmp_path / "out", "--concurrency", 3)
    wait_until(lambda: with_model.journal.open_streams == 3)
    process.kill()
    process.communicate()
    survived = stored.all()
    assert len(survived) == 3
    calls = len(with_model.messages)
    paid = len(survived) + stored.count("postmortem_calls WHERE reply IS NOT NULL")
    assert calls == paid + 3, "no more than run at the same time are lost"
    lost_file = tmp_path / "out" / f"{min(survived)}.md"
    lost_file.unlink(missing_ok=True)

    with_model.always(Reply())
    result = arcpoint("postmortem", "--out", tmp_path / "out")
    assert result.code == 0
    assert len(with_model.messages) - calls == RESOLVED - paid
    written = stored.all()
    assert len(written) == RESOLVED
    assert {incident: written[incident] for incident in survived} == survived
    assert bodies(tmp_path / "out") == written
    assert f"{min(survived)}  file restored: {lost_file}" in result.out.splitlines()

    again = arcpoint("postmortem", "--out", tmp_path / "out")
    assert (again.code, len(with_model.messages) - calls) == (0, RESOLVED - paid)
    assert again.out == "nothing to do: every resolved incident of the selection has its postmortem\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_far_it_got(
    number: signal.Signals, arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """Calls in flight are cancelled, what is done is counted and kept, and the exit code is 130."""
    with_model.always(Reply(delay_s=0.1))
    with_model.script(Reply(), Reply())

    def stop() -> None:
        wait_until(lambda: len(with_model.messages) == 4 and len(stored.all()) == 2)
        os.kill(os.getpid(), number)

    stopper = threading.Thread(target=stop)
    stopper.start()
    result = arcpoint("postmortem", "--out", tmp_path / "out", "--concurrency", 2, "--json")
    stopper.join()
    document = json.loads(result.out)
    assert result.code == 130
    assert document["interrupted"] is True
    assert {entry["incident"] for entry in document["written"]} == set(stored.all())
    assert document["left"] == RESOLVED - 2
    assert set(bodies(tmp_path / "out")) == set(stored.all())
    wait_until(lambda: with_model.journal.disconnects == 2)
    assert result.err.startswith("arcpoint: warning: incident memory is not up to date: "), "memory is tried"
    assert result.err.count("\n") == 1
    with_model.always(Reply())
    assert arcpoint("postmortem", "--out", tmp_path / "out").code == 0
    assert len(with_model.messages) == RESOLVED + 2


def test_a_reader_that_leaves_does_not_stop_the_work(
    arcpoint: Run,
    with_model: MessagesApi,
    stored: StoredPostmortems,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`arcpoint postmortem | head -1` writes everything all the same, and says nothing of the pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as output:
        monkeypatch.setattr(sys, "stdout", output)
        result = arcpoint("postmortem", "--out", tmp_path / "out", "--since", "2026-11-01T00:00Z")
    assert result.code == 0
    assert len(stored.all()) == len(with_model.messages) > 1
    assert bodies(tmp_path / "out") == stored.all()
    assert "Broken pipe" not in result.err


def test_one_failing_incident_does_not_stop_the_others(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """It is named with its reason, the exit code says so, and the next run writes it."""
    with_model.script(Reply(), Fail(status=529), Reply(stop_reason="max_tokens"))
    result = arcpoint("postmortem", "--out", tmp_path / "out", "--concurrency", 1)
    assert result.code == 1
    failed = [line for line in result.out.splitlines() if "  failed: " in line]
    assert [line.partition("  failed: ")[0] for line in failed] == ["inc_0102", "inc_0103"]
    assert "overloaded" in failed[0]
    assert "raise ARCPOINT_MAX_OUTPUT_TOKENS" in failed[1]
    assert result.out.splitlines()[-1].startswith(f"{RESOLVED - 2} postmortems written ($")
    assert len(stored.all()) == RESOLVED - 2
    assert not stored.all().keys() & {"inc_0102", "inc_0103"}

    calls = len(with_model.messages)
    again = json.loads(arcpoint("postmortem", "--out", tmp_path / "out", "--json").out)
    assert {entry["incident"] for entry in again["written"]} == {"inc_0102", "inc_0103"}
    assert (again["failed"], again["left"], again["interrupted"]) == ([], 0, False)
    assert len(with_model.messages) - calls == 2


def test_what_code_wrote_is_replaced_once_there_is_a_model(
    arcpoint: Run,
    messages_api: MessagesApi,
    monkeypatch: pytest.MonkeyPatch,
    stored: StoredPostmortems,
    tmp_path: Path,
) -> None:
    """Without a key documents are made of records alone; with one they are written, in the file as well."""
    out, one = tmp_path / "out", ("--incident", "inc_0101", "--incident", "inc_0102")
    first = arcpoint("postmortem", "--out", out, *one)
    assert first.code == 0
    assert first.out.splitlines()[0].endswith("(without a model)")
    by_code = bodies(out)
    assert all("| Written by | code, no model" in text for text in by_code.values())
    of_code = (out / "inc_0102.md").read_text("utf-8")
    assert arcpoint("postmortem", "--out", out, *one).out.startswith("nothing to do")

    monkeypatch.setenv("ARCPOINT_ANTHROPIC_API_KEY", API_KEY)
    monkeypatch.setenv("ARCPOINT_ANTHROPIC_BASE_URL", messages_api.url)
    assert arcpoint("postmortem", "--out", out, *one).code == 0
    by_model = bodies(out)
    assert by_model == stored.all()
    assert all("| Written by | claude-sonnet-5-5 |" in text for text in by_model.values())

    (out / "inc_0102.md").write_text(of_code, "utf-8")  # as after a kill before its file
    assert "inc_0102  file restored" in arcpoint("postmortem", "--out", out, *one).out
    assert bodies(out) == by_model
    assert len(messages_api.messages) == 2


def test_a_selection_leaves_the_others_alone(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """Neither calls nor files for incidents that were resolved before --since, or are not named."""
    out = tmp_path / "out"
    recent = ("--out", out, "--since", "2026-11-19T00:00Z")
    result = json.loads(arcpoint("postmortem", *recent, "--json").out)
    chosen = {entry["incident"] for entry in result["written"]}
    assert 1 <= len(chosen) < RESOLVED
    assert set(stored.all()) == set(bodies(out)) == chosen
    assert len(with_model.messages) == len(chosen)
    assert arcpoint("postmortem", "--out", out, "--incident", "inc_0101").code == 0
    for path in out.iterdir():
        path.unlink()
    restored = json.loads(arcpoint("postmortem", *recent, "--json").out)["restored"]
    assert {entry["incident"] for entry in restored} == chosen
    assert "inc_0101" in stored.all()
    assert "inc_0101" not in bodies(out)


def test_a_file_that_cannot_be_written_loses_nothing(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """The document is in the database, the failure is reported, the next run restores the file."""
    out, one = tmp_path / "out", ("--incident", "inc_0101")
    (out / "inc_0101.md").mkdir(parents=True)
    result = arcpoint("postmortem", "--out", out, *one)
    assert result.code == 1
    assert "inc_0101  failed: stored in the database, but not as a file: " in result.out
    assert [path.name for path in out.iterdir()] == ["inc_0101.md"], "no draft is left behind"
    (out / "inc_0101.md").rmdir()
    assert arcpoint("postmortem", "--out", out, *one).code == 0
    assert bodies(out) == stored.all()
    assert len(with_model.messages) == 1
