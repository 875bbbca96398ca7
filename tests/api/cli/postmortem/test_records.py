"""`arcpoint postmortem` beyond writing: the cap, edits, decisions, what is stale, and the prompt again."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import pytest

from api.archive.postmortem_files import parsed
from tests.loopback.messages_api import MessagesApi, Reply
from tests.support.command_line import Run
from tests.support.patient_sources import SOURCES
from tests.support.stored_postmortems import RESOLVED, StoredPostmortems, bodies

ONE = ("--incident", "inc_0101")
TWO = (*ONE, "--incident", "inc_0102")

pytestmark = pytest.mark.process


def test_the_cap_of_a_run_holds_and_is_reported(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """With many at once no more is paid than allowed, the rest is left with exit code 3, and can go on."""
    out = ("--out", tmp_path / "out", "--concurrency", 8)
    cap = Decimal("0.14")
    with_model.always(Reply(usage={"output_tokens": 2000}))  # $0.03 each
    result = arcpoint("postmortem", *out, "--max-cost", cap, "--json")
    document = json.loads(result.out)
    written = len(document["written"])
    assert result.code == 3
    assert 1 <= written < RESOLVED
    assert len(with_model.messages) == written
    assert Decimal(document["cost_usd"]) == Decimal(document["spent_at_most_usd"]) <= cap
    assert document["left"] == len(document["unaffordable"]) == RESOLVED - written
    assert stored.count("postmortem_calls") == 0

    nothing = arcpoint("postmortem", *out, "--max-cost", "0")
    assert nothing.code == 3
    assert nothing.out.endswith(
        f"0 postmortems written ($0.00), {RESOLVED - written} left: nothing more fits under "
        "--max-cost or a cap of `arcpoint spend`; run it again with a new one to continue\n"
    )
    assert len(with_model.messages) == written
    assert arcpoint("postmortem", *out, "--max-cost", "1000").code == 0
    assert len(with_model.messages) == len(stored.all()) == RESOLVED


def test_an_edited_file_stays_until_it_is_taken_in(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """No run replaces it, not even one that refreshes; `edit` brings it in, and the file is a copy again."""
    out = ("--out", tmp_path / "out")
    arcpoint("postmortem", *out, *TWO)
    file = tmp_path / "out" / "inc_0101.md"
    text = file.read_text("utf-8").replace("## Trigger\n", "## Trigger\n\nThe night shift knows more.\n")
    file.write_text(text, "utf-8")
    stored.rows("UPDATE incidents SET root_cause = 'it was another thing'")

    kept = arcpoint("postmortem", *out, *TWO, "--refresh-stale")
    assert kept.code == 0
    remedy = f"`arcpoint postmortem edit inc_0101 --file {file}`"
    note = f"inc_0101  skipped: its file was edited and is left unchanged; {remedy}"
    assert any(line.startswith(note) for line in kept.out.splitlines())
    assert file.read_text("utf-8") == text
    assert len(with_model.messages) == 3, "only the other one was rewritten"

    taken = arcpoint("postmortem", "edit", "inc_0101", "--file", file)
    assert taken.out == "inc_0101  stored as human text, draft; no run replaces it\n"
    assert "The night shift knows more." in stored.all()["inc_0101"]
    assert "nothing was changed" in arcpoint("postmortem", "edit", "inc_0101", "--file", file).out
    again = arcpoint("postmortem", *out, *TWO)
    assert again.out.splitlines()[0] == f"inc_0101  file restored: {file}"
    assert 'provenance: "human"' in file.read_text("utf-8")
    assert bodies(tmp_path / "out") == stored.all()
    assert arcpoint("postmortem", *out, *TWO, "--refresh-stale").out.startswith("nothing to do")


def test_a_file_that_was_there_before_is_not_overwritten(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """A person who has begun to write by hand keeps the file, and nothing is paid for."""
    (tmp_path / "inc_0101.md").write_text("my notes", "utf-8")
    result = arcpoint("postmortem", "--out", tmp_path, *ONE)
    assert result.code == 0
    assert "1 edited file left unchanged" in result.out
    assert (tmp_path / "inc_0101.md").read_text("utf-8") == "my notes"
    assert (with_model.messages, stored.all()) == ([], {})


def test_what_is_there_is_listed_and_shown(
    arcpoint: Run, with_model: MessagesApi, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """With who wrote it, what was decided, and whether the incident has changed since."""
    arcpoint("postmortem", "--out", tmp_path / "out", *TWO)
    stored.rows("UPDATE incidents SET title = 'Another title' WHERE public_id = 'inc_0102'")
    assert arcpoint("postmortem", "approve", "inc_0101", "--by", "kim").code == 0

    lines = arcpoint("postmortem", "list").out.splitlines()
    assert lines[0].startswith("inc_0101  approved, by model (claude-sonnet-5-5), written ")
    assert "approved by kim" in lines[0]
    assert lines[1].startswith("inc_0102  draft, by model")
    assert lines[1].endswith("STALE: the incident has changed since")
    assert lines[2] == "2 postmortems"
    for option in ("--stale", "--draft"):
        (entry,) = json.loads(arcpoint("postmortem", "list", option, "--json").out)["postmortems"]
        assert (entry["incident"], entry["stale"], entry["status"]) == ("inc_0102", True, "draft")

    shown = arcpoint("postmortem", "show", "inc_0102")
    assert "STALE" in shown.out.splitlines()[0]
    assert shown.out.endswith(stored.all()["inc_0102"].rstrip() + "\n")
    document = json.loads(arcpoint("postmortem", "show", "inc_0102", "--json").out)
    assert (document["markdown"], document["stale"]) == (stored.all()["inc_0102"], True)

    again = arcpoint("postmortem", "--out", tmp_path / "out", *TWO)
    assert "inc_0101  file restored" in again.out, "its front matter says that it is approved now"
    assert 'status: "approved"' in (tmp_path / "out" / "inc_0101.md").read_text("utf-8")
    refreshed = json.loads(
        arcpoint("postmortem", "--refresh-stale", "--out", tmp_path / "out", *TWO, "--json").out
    )
    assert [entry["incident"] for entry in refreshed["written"]] == ["inc_0102"]
    assert arcpoint("postmortem", "list", "--stale").out == "0 postmortems\n"


def test_the_prompt_is_printed_again_byte_for_byte(
    arcpoint: Run,
    with_model: MessagesApi,
    stored: StoredPostmortems,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its digest is the stored one, with cost and tokens; a manifest that was changed is found out."""
    monkeypatch.setattr("api.services.discover", lambda: tuple(SOURCES))
    arcpoint("postmortem", "--out", tmp_path / "out", *ONE)
    result = arcpoint("postmortem", "show", "inc_0101", "--evidence")
    digest = hashlib.sha256(result.out.encode()).hexdigest()
    assert result.code == 0
    assert f"prompt SHA-256 {digest}" in stored.all()["inc_0101"]
    assert result.err.startswith(f"arcpoint: prompt SHA-256 {digest}; claude-sonnet-5-5, ")
    (sent,) = with_model.messages
    assert result.out.endswith(sent.body["messages"][0]["content"][-1]["text"])
    found = json.loads(arcpoint("postmortem", "show", "inc_0101", "--evidence", "--json").out)
    assert (found["identical"], found["prompt"], found["sha256"]) == (True, result.out, digest)

    stored.rows("UPDATE questions SET manifest = replace(manifest, 'inc_0101', 'inc_0999')")
    other = arcpoint("postmortem", "show", "inc_0101", "--evidence")
    assert other.code == 1
    assert f"this is not the prompt that was sent; its SHA-256 was {digest}" in other.err


def test_a_template_gives_the_sections(arcpoint: Run, with_model: MessagesApi, tmp_path: Path) -> None:
    """A shipped one by name, one's own by its file."""
    own = tmp_path / "own.toml"
    own.write_text('[[sections]]\ntitle = "In short"\nby = "model"\n', "utf-8")
    with_model.always(Reply(text="## In short\n\nIt broke."))
    arcpoint("postmortem", "--out", tmp_path / "out", *ONE, "--template", own)
    assert "## In short\n\nIt broke.\n" in (tmp_path / "out" / "inc_0101.md").read_text("utf-8")
    assert json.loads(arcpoint("postmortem", "show", "inc_0101", "--json").out)["template"] == "own"
    with_model.always(Reply())
    arcpoint(
        "postmortem", "write", "--out", tmp_path / "out", "--incident", "inc_0102", "--template", "brief"
    )
    body = parsed((tmp_path / "out" / "inc_0102.md").read_text("utf-8")).body
    assert "## Impact\n" in body
    assert "## Timeline\n" not in body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-cost", "lots"], "lots is not an amount; give US dollars from 0 to 1000000, such as 2.50"),
        (["--max-cost", "-1"], "is not an amount"),
        (["--max-cost", "nan"], "is not an amount"),
        (["--template", "nope"], "there is no template 'nope'; accepted are brief, default and the path of"),
        (["--template", "none.toml"], "none.toml: cannot be read: No such file"),
        (["--json", "list"], "put --json after the command: `... list --json`"),
        (["show", "inc_none"], "incident 'inc_none' is not known"),
        (["show", "inc_0101"], "has no postmortem; `arcpoint postmortem --incident inc_0101` writes it"),
        (["edit", "inc_0101", "--file", "none.md"], "none.md: No such file"),
        (["edit", "inc_0119", "--file", "text.md"], "still active"),
        (["approve", "inc_none"], "inc_none"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], said: str, arcpoint: Run, stored: StoredPostmortems, tmp_path: Path
) -> None:
    """Law 10: never a traceback, and nothing is written."""
    (tmp_path / "text.md").write_text("# text", "utf-8")
    result = arcpoint("postmortem", *arguments)
    assert result.code in (1, 2)
    assert said in result.err
    assert result.err.count("\n") == 1
    assert (result.out, stored.all()) == ("", {})
