"""`arcpoint postmortem --batch-api`: submitted once, left and collected, every problem reported."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from api.cli.postmortem import batch_api as postmortem_batch_api
from context_builder.postmortems.batches.run import PollIntervals
from tests.loopback.batch_behaviour import Endpoint, Errored, Lost
from tests.loopback.behaviour import Fail, Reply
from tests.loopback.messages_api import MessagesApi
from tests.support.command_line import Run, Start, finished
from tests.support.stored_postmortems import RESOLVED, StoredPostmortems, bodies, wait_until

pytestmark = pytest.mark.process

TWO = ("--incident", "inc_0101", "--incident", "inc_0102")
FOREVER = float("inf")


@pytest.fixture
def api(with_model: MessagesApi, monkeypatch: pytest.MonkeyPatch) -> MessagesApi:
    """Batches that are looked at often."""
    monkeypatch.setattr(postmortem_batch_api, "POLL_INTERVALS", PollIntervals(first_s=0.05, max_s=0.1))
    with_model.batches.always(Reply(text="## Summary\n\nIt was bad.\n\n## Root cause\n\nA disk."))
    return with_model


def test_everything_goes_through_one_batch(
    api: MessagesApi, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """One batch, no single call, a file for each document, at half of what single calls cost."""
    api.batches.polls = 2
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert len(api.batches.submitted) == RESOLVED
    assert (len(api.batches.known), api.messages) == (1, [])
    assert bodies(tmp_path / "out") == stored.all()
    assert len(stored.all()) == RESOLVED
    (batch,) = api.batches.known
    assert f"arcpoint: submitted {batch}: {RESOLVED} prompts, at most $" in result.err
    assert f"{RESOLVED} prompts in 1 batch in progress at the API; this may take up to a day" in result.err
    assert result.out.splitlines()[-1].startswith(f"{RESOLVED} postmortems written ($")
    again = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out")
    assert again.out == "nothing to do: every resolved incident of the selection has its postmortem\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_can_be_stopped(
    number: signal.Signals, api: MessagesApi, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """It ends at once with exit code 130 and says how to go on; the batch goes on, and is collected later."""
    api.batches.polls = FOREVER
    polled = len(api.journal.requests) + 3

    def stop() -> None:
        wait_until(lambda: len(api.journal.requests) >= polled)
        os.kill(os.getpid(), number)

    stopper = threading.Thread(target=stop)
    stopper.start()
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO, "--json")
    stopper.join()
    document = json.loads(result.out)
    assert result.code == 130
    assert (document["interrupted"], document["left"], document["waiting"]) == (True, 2, 2)
    assert "2 prompts in 1 batch in progress at the API; the same command collects the results" in result.err
    assert not [each for each in api.journal.requests if each.path.endswith("/cancel")]

    single = arcpoint("postmortem", "--out", tmp_path / "out", *TWO)
    assert "it is in a batch; `arcpoint postmortem --batch-api` collects it" in single.out
    assert api.messages == []
    api.batches.polls = 0
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", "--incident", "inc_0101")
    assert result.code == 0
    assert sorted(stored.all()) == sorted(bodies(tmp_path / "out")) == ["inc_0101", "inc_0102"]
    assert len(api.batches.submitted) == 2


def test_an_interrupted_submission_is_adopted(
    api: MessagesApi, start: Start, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """After SIGKILL during the submission the command says what to do, and nothing is paid twice."""
    api.batches.fail(Endpoint.CREATE, Lost(delay_s=60))
    process = start("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO)
    wait_until(lambda: bool(api.batches.known))
    process.kill()
    assert finished(process).code == -signal.SIGKILL
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO)
    assert result.code == 1
    assert "then `arcpoint postmortem batches 1 --adopt ID` if it is there" in result.err
    listed = arcpoint("postmortem", "batches")
    assert listed.out.startswith("1  submission interrupted, 2 prompts, at most $")
    (batch,) = api.batches.known
    unknown = arcpoint("postmortem", "batches", "1", "--adopt", "msgbatch_none")
    assert unknown.code == 1
    assert "the API knows no such batch (404)" in unknown.err
    adopted = arcpoint("postmortem", "batches", "1", "--adopt", batch)
    assert adopted.out == f"batch 1 adopted as {batch}; `arcpoint postmortem --batch-api` collects it\n"
    assert json.loads(arcpoint("postmortem", "batches", "--json").out)["batches"][0]["api_id"] == batch
    assert arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO).code == 0
    assert bodies(tmp_path / "out") == stored.all()
    assert len(stored.all()) == len(api.batches.submitted) == 2
    assert arcpoint("postmortem", "batches").out == "0 open batches\n"


def test_an_interrupted_submission_is_discarded(
    api: MessagesApi, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """On a person's word its incidents are submitted again, and a batch can be settled in one way only."""
    api.batches.fail(Endpoint.CREATE, Fail(status=529))
    assert arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO).code == 1
    assert arcpoint("postmortem", "batches", "--discard").code == 2
    assert arcpoint("postmortem", "batches", "1", "--discard", "--adopt", "x").code == 2
    discarded = arcpoint("postmortem", "batches", "1", "--discard")
    assert discarded.out == "batch 1 discarded; 2 incidents can be submitted again\n"
    again = arcpoint("postmortem", "batches", "1", "--discard")
    assert (again.code, again.err) == (1, "arcpoint: there is no batch 1\n")
    assert arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO).code == 0
    assert len(stored.all()) == len(api.batches.submitted) == 2


def test_failures_are_reported_and_counted(api: MessagesApi, arcpoint: Run, tmp_path: Path) -> None:
    """An incident that the API failed on has exit code 1 and its reason, and the next run tries it again."""
    api.batches.outcomes(Errored(message="no luck"))
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO, "--json")
    document = json.loads(result.out)
    assert result.code == 1
    # Contexts are built side by side, so either may be the first of the batch.
    (failed,), (written,) = document["failed"], document["written"]
    assert failed["error"] == "the API failed on it (api_error): no luck"
    assert {failed["incident"], written["incident"]} == set(TWO[1::2])
    assert [each["prompts"] for each in document["submitted"]] == [2]
    assert arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO).code == 0


def test_an_api_that_accepts_no_batch_is_reported(
    api: MessagesApi, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """One line with the API's reason, exit code 1, and nothing that the next run would have to wait for."""
    api.batches.fail(Endpoint.CREATE, Fail(status=402, message="no credit"))
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO)
    assert result.code == 1
    assert "(402): no credit" in result.err
    assert stored.count("postmortem_calls") == stored.count("postmortem_batches") == 0
    assert arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO).code == 0


def test_a_cap_leaves_the_rest(api: MessagesApi, arcpoint: Run, tmp_path: Path) -> None:
    """What does not fit is left with exit code 3, and the next run continues."""
    api.batches.always(Reply(text="## Summary\n\nIt was bad.", usage={"output_tokens": 2000}))
    result = arcpoint("postmortem", "--batch-api", "--max-cost", "0.10", "--out", tmp_path / "out", "--json")
    document = json.loads(result.out)
    assert result.code == 3
    assert 0 < len(document["written"]) < RESOLVED
    assert len(document["written"]) + len(document["unaffordable"]) == RESOLVED
    assert len(api.batches.submitted) == len(document["written"])
    assert len(document["submitted"]) == 1
    assert float(document["cost_usd"]) == float(document["spent_at_most_usd"]) <= 0.10


def test_a_file_that_a_person_edited_is_left_alone(api: MessagesApi, arcpoint: Run, tmp_path: Path) -> None:
    """Nothing is paid for that could not be put beside a person's text."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "inc_0101.md").write_text("# My own words\n", "utf-8")
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out", *TWO)
    assert result.code == 0
    assert "inc_0101  skipped: its file was edited and is left unchanged" in result.out
    assert len(api.batches.submitted) == 1
    assert (tmp_path / "out" / "inc_0101.md").read_text("utf-8") == "# My own words\n"


def test_without_a_key_there_is_no_batch(arcpoint: Run, tmp_path: Path) -> None:
    """Records alone need no batch: one line, exit code 2."""
    result = arcpoint("postmortem", "--batch-api", "--out", tmp_path / "out")
    assert result.code == 2
    assert result.err.startswith(
        "arcpoint: --batch-api: no API key is configured; set ARCPOINT_ANTHROPIC_API_KEY"
    )
    assert not (tmp_path / "out").exists()
