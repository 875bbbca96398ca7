"""`arcpoint ask`: what it prints for a person, for a pipe and for a program."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.http.json_body import to_document
from context_builder.answer.answer import Answer
from context_builder.text.formatting import format_count
from tests.loopback.messages_api import BreakOff, Cut, Fail, MessagesApi, Reply
from tests.support.command_line import PAST, Run

SLOW = "Why are premium users slow?"


def ask(arcpoint: Run, *arguments: object) -> dict[str, Any]:
    """The JSON document of an answer."""
    result = arcpoint("ask", *arguments, "--json")
    assert (result.code, result.err) == (0, "")
    document: dict[str, Any] = json.loads(result.out)
    return document


def test_json_is_one_document_of_the_form_that_the_service_gives(
    arcpoint: Run, with_model: MessagesApi
) -> None:
    """Everything that HTTP clients get, nothing else, and the same call is paid for once."""
    document = ask(arcpoint, SLOW, "--as-of", PAST)
    again = to_document(TypeAdapter(Answer).validate_python(document))
    assert again == document
    assert document["model"] == "claude-sonnet-5-5"
    assert document["as_of"] == "2026-11-20T08:00:00Z"
    assert len(document["citations"]) == 3
    assert len(with_model.messages) == 1


def test_a_pipe_gets_plain_lines(arcpoint: Run, with_model: MessagesApi) -> None:
    """The answer first, then references, what is missing, what was cut and the cost; nothing is wrapped."""
    document = ask(arcpoint, SLOW, "--as-of", PAST, "--budget", 3000)
    result = arcpoint("ask", SLOW, "--as-of", PAST, "--budget", 3000)
    lines = result.out.splitlines()
    assert "\x1b" not in result.out
    assert lines[: len(document["text"].splitlines())] == document["text"].splitlines()
    for citation in document["citations"]:
        assert [f"[{citation['ref']}]", citation["source"], citation["text"]] in [
            [part.strip() for part in line.strip().split("  ", 2)] for line in lines
        ]
    manifest = document["manifest"]
    recall = next(source for source in manifest["sources"] if source["name"] == "recall")
    assert f"  recall   error: {recall['error']}".split() in [line.split() for line in lines]
    cut = sum(source["cut"] for source in manifest["sources"])
    assert cut > 0
    assert any(line.startswith(f"  {format_count(cut, 'fact')} (") for line in lines)
    assert f"(bound {manifest['token_bound']:,}, budget 3,000)" in lines[-1]
    assert f"prompt {document['usage']['input_tokens']:,} tokens" in lines[-1]
    assert lines[-2].startswith("as of 2026-11-20 08:00 UTC · ")


def test_why_names_every_fact_and_every_source(arcpoint: Run) -> None:
    """The manifest as two tables: one line for each fact, kept or cut, and one for each source."""
    manifest = ask(arcpoint, SLOW, "--as-of", PAST, "--budget", 3000)["manifest"]
    lines = arcpoint("ask", SLOW, "--as-of", PAST, "--budget", 3000, "--why").out.splitlines()
    rows = {line.split()[0]: line for line in lines[lines.index("") :] if line.startswith("  ")}
    assert {fact["detail"] for fact in manifest["facts"]} >= {"full", "cut"}
    for fact in manifest["facts"]:
        row = rows[fact["ref"]]
        shown = "kept" if fact["detail"] == "full" else fact["detail"]
        assert row.split()[:4] == [fact["ref"], fact["source"], shown, f"{fact['tokens']:,}"]
        assert row.endswith(fact["text"])
        assert fact["reason"] in row
    for source in manifest["sources"]:
        cells = rows[source["ref"]].split()
        assert cells[:3] == [source["ref"], source["name"], source["status"]]
        assert cells[3].replace(",", "").isdigit()
        assert cells[4:6] == [str(source["kept"]), str(source["cut"])]


def test_the_prompt_is_shown_as_it_is_sent(arcpoint: Run, with_model: MessagesApi) -> None:
    """--show-prompt prints the bytes that go to the model, before the answer."""
    document = ask(arcpoint, SLOW, "--as-of", PAST, "--show-prompt")
    (call,) = with_model.messages
    stable, user = (block["text"] for block in call.body["messages"][0]["content"])
    assert document["prompt"] == {"system": call.body["system"][0]["text"], "stable": stable, "user": user}
    shown = arcpoint("ask", SLOW, "--as-of", PAST, "--show-prompt").out
    before, _, after = shown.partition("--- answer ---\n")
    assert (stable + user).rstrip() in before
    assert after.startswith(document["text"])


def test_options_reach_the_question(arcpoint: Run) -> None:
    """Window, scope, asker and budget are what was given; repeated options add up."""
    document = ask(
        arcpoint,
        "What is wrong?",
        *("--deployment", "gpt-4/aws", "--deployment", "gpt-4/k8s", "--tier", "premium"),
        *("--user-scope", "user_acme", "--user", "user_kite", "--budget", "6000"),
        *("--since", "2026-11-19T22:00+01:00", "--until", "2026-11-20T07:30:00Z"),
    )
    manifest = document["manifest"]
    assert set(manifest["scope"]) == {
        "deployment gpt-4/aws",
        "deployment gpt-4/k8s",
        "tier premium",
        "user user_acme",
    }
    assert (manifest["window"]["start"], manifest["window"]["end"]) == (
        "2026-11-19T21:00:00Z",
        "2026-11-20T07:30:00Z",
    )
    assert manifest["token_budget"] == 6000
    assert manifest["unknown_names"] == []
    assert (
        ask(arcpoint, "x", "--user", "user_nobody")["manifest"]["unknown_names"][0]["name"] == "user_nobody"
    )


def test_a_question_is_asked_as_a_user_who_sees_only_themself(arcpoint: Run) -> None:
    """Own figures and the gateway's state; nobody else, whatever is asked; an unknown user is refused."""
    manifest = ask(arcpoint, "What did user_acme and I spend today?", "--as-user", "user_kite")["manifest"]
    assert manifest["scope"] == ["user user_kite"]
    assert [unknown["name"] for unknown in manifest["unknown_names"]] == ["user_acme"]
    assert "user_acme" not in json.dumps([manifest["facts"], manifest["sources"]])
    refused = arcpoint("ask", "x", "--as-user", "user_nobody")
    assert (refused.code, "user 'user_nobody' is not known" in refused.err) == (2, True)


def test_a_question_is_read_from_standard_input(arcpoint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` stands for what is piped in; what is not text is refused in one line."""
    for sent, code in [(" Wie geht es gpt-4/aws? ☂\n".encode(), 0), (b"why \xff", 2), (b"", 2)]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent)))
        result = arcpoint("ask", "-", "--json")
        assert result.code == code
        if code == 0:
            assert json.loads(result.out)["question"] == "Wie geht es gpt-4/aws? ☂"
        else:
            assert result.err.count("\n") == 1


def test_what_the_facts_do_not_carry_is_marked(arcpoint: Run, with_model: MessagesApi) -> None:
    """Invented references and numbers stand below the answer with the sentence they came from."""
    with_model.always(Reply(text="All is well [Z9]. About 4711 users are hit [V0]."))
    result = arcpoint("ask", SLOW, "--as-of", PAST)
    marked = result.out.partition("Not supported by the facts\n")[2].splitlines()
    assert "✗ Z9" in marked[0]
    assert "“All is well [Z9].”" in marked[0]
    assert "✗ 4711" in marked[1]
    assert "“About 4711 users are hit [V0].”" in marked[1]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Fail(status=401), "rejected the key"),
        (Fail(status=529), "overloaded"),
        (Cut(after_pieces=2), "the connection broke"),
        (BreakOff(after_pieces=2), "broke off the reply"),
    ],
)
def test_a_failed_call_gives_a_brief(
    behaviour: Fail | Cut | BreakOff, said: str, arcpoint: Run, with_model: MessagesApi
) -> None:
    """When no whole reply comes, the facts do, and the last line says why; that is no failure."""
    with_model.always(behaviour)
    result = arcpoint("ask", SLOW, "--as-of", PAST)
    assert (result.code, result.err) == (0, "")
    assert said in result.out
    assert result.out.startswith("Likely: ")
    assert "2.3 times the usual latency" in result.out
    assert "References" not in result.out, "a brief is made of the facts themselves"


def test_a_reply_that_is_cut_short_is_marked(arcpoint: Run, with_model: MessagesApi) -> None:
    """An answer that hit the limit says so and names the setting."""
    with_model.always(Reply(text="It is", stop_reason="max_tokens"))
    out = arcpoint("ask", SLOW, "--as-of", PAST).out
    assert "the model stopped early (max_tokens); raise ARCPOINT_MAX_OUTPUT_TOKENS" in out


def test_nothing_steers_the_terminal(arcpoint: Run, with_model: MessagesApi) -> None:
    """Escape sequences of a reply are replaced in text, and escaped in JSON."""
    hostile = "done\x1b[2J\x1b]0;owned\x07 \x9b31m\u202egnp.exe [H1]"
    with_model.always(Reply(text=hostile))
    text = arcpoint("ask", SLOW, "--as-of", PAST).out
    assert text.startswith("done�[2J�]0;owned� �31m�gnp.exe [H1]\n")
    raw = arcpoint("ask", SLOW, "--as-of", PAST, "--json").out
    assert json.loads(raw)["text"] == hostile
    assert not steering(text + raw)


def steering(text: str) -> set[str]:
    """Characters that change what a terminal does."""
    return {
        found
        for found in text
        if (ord(found) < 32 and found not in "\n\t") or 0x7F <= ord(found) < 0xA0 or found == "\u202e"
    }
