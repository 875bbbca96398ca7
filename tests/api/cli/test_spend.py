"""Spending on the command line: caps, the report, what a question would send, and no egress at all."""

from __future__ import annotations

import json

import pytest

from tests.loopback.messages_api import MessagesApi
from tests.support.command_line import PAST, Run
from tests.support.patience import PATIENCE_S

QUESTION = "Which deployments are unhealthy?"
ASK = ("ask", QUESTION, "--as-of", PAST, "--local")


@pytest.fixture(autouse=True)
def patient(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A recall that met its deadline would change the prompt."""
    monkeypatch.setenv("ARCPOINT_MEMORY_DEADLINE_S", str(PATIENCE_S))


def test_a_cap_holds_and_the_report_says_what_is_left(arcpoint: Run, with_model: MessagesApi) -> None:
    """What a question has cost is in the report; the next one that does not fit gets the facts."""
    assert arcpoint(*ASK).code == 0
    (entry,) = json.loads(arcpoint("spend", "--json").out)["accounts"]
    assert (entry["kind"], entry["calls"], entry["reserved_usd"], entry["limit_usd"]) == (
        "installation",
        1,
        "0",
        None,
    )
    assert float(entry["spent_usd"]) > 0
    said = arcpoint("spend", "cap", "installation", "0.02", "--time-zone", "Asia/Tokyo")
    assert said.out == "installation may spend $0.0200 per day\n"
    refused = arcpoint(*ASK)
    assert refused.code == 0
    assert "No model was called: the installation has $0.0" in refused.out
    assert "(Asia/Tokyo), and the call could cost" in refused.out
    assert "gpt-4/k8s went from healthy to DEGRADED" in refused.out
    assert len(with_model.messages) == 1
    assert arcpoint("spend", "cap", "installation", "none").code == 0
    assert arcpoint("ask", QUESTION, "--user", "user_acme", "--as-of", PAST, "--local").code == 0
    table = arcpoint("spend").out
    assert "installation" in table
    assert "user user_acme" in table
    assert "0 calls in flight" in table
    assert arcpoint("spend", "cap", "user:*", "1").code == 0
    assert "each user" in arcpoint("spend").out
    assert arcpoint("spend", "cap", "user:*", "default").out == "user:* has no cap of its own\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["users:a", "1"], "users:a is no account; give installation, user:ID, key:ID or team:ID"),
        (["user:", "1"], "user: is no account"),
        (["installation:x", "1"], "installation:x is no account"),
        (["run:x", "1"], "run:x is no account"),
        (["team:t", "much"], "much is not an amount; give US dollars from 0 to 1000000"),
        (["team:t", "1", "--time-zone", "../Berlin"], "../Berlin is no time zone; give an IANA name"),
    ],
)
def test_a_cap_that_cannot_be_set_is_refused_by_name(arcpoint: Run, arguments: list[str], says: str) -> None:
    """Law 10."""
    refused = arcpoint("spend", "cap", *arguments)
    assert refused.code == 2
    assert says in refused.err


def test_a_dry_run_sends_logs_and_reserves_nothing(arcpoint: Run, with_model: MessagesApi) -> None:
    """It prints the body of the request and nothing else, and says what that could cost."""
    shown = arcpoint(*ASK, "--dry-run")
    document = json.loads(arcpoint(*ASK, "--dry-run", "--json").out)
    assert with_model.journal.requests == []
    assert json.loads(arcpoint("spend", "--json").out)["accounts"] == []
    assert json.loads(shown.out).keys() == json.loads(document["body"]).keys()
    assert QUESTION in shown.out
    assert shown.err.startswith(
        f"arcpoint: POST {with_model.url}/v1/messages, {len(shown.out.encode()):,} bytes"
    )
    assert "claude-sonnet-5-5 at the prices of 2" in shown.err
    assert document["bytes"] == len(document["body"].encode())
    # 4,096 tokens of output at 10, and the bound of the prompt at 2.5 for writing it into the cache.
    assert float(document["worst_case_usd"]) == pytest.approx((40_960 + 2.5 * document["token_bound"]) / 1e6)


@pytest.mark.process
def test_without_egress_no_model_can_be_called(
    arcpoint: Run, with_model: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By questions, postmortems and batches alike; what would be sent is still shown."""
    monkeypatch.setenv("ARCPOINT_EGRESS", "off")
    answer = arcpoint(*ASK)
    assert answer.code == 0
    assert "No model was called: ARCPOINT_EGRESS=off: no model is called" in answer.out
    assert arcpoint("postmortem", "--incident", "inc_0118").code == 0
    batch = arcpoint("postmortem", "--batch-api")
    assert (batch.code, batch.err) == (2, "arcpoint: --batch-api: ARCPOINT_EGRESS=off: no model is called\n")
    assert arcpoint("postmortem", "batches", "1", "--adopt", "x").code == 2
    proxied = arcpoint("proxy", "--port", "0")
    assert proxied.code == 2
    assert "ARCPOINT_EGRESS=off: the proxy forwards nothing" in proxied.err
    dry = arcpoint(*ASK, "--dry-run")
    assert dry.code == 0
    assert "would not be sent (ARCPOINT_EGRESS=off: no model is called)" in dry.err
    assert with_model.journal.requests == []


def test_a_model_without_a_price_is_refused_at_the_start(
    arcpoint: Run, with_model: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names of both settings that help."""
    monkeypatch.setenv("ARCPOINT_MODEL", "claude-of-tomorrow")
    refused = arcpoint(*ASK)
    assert (refused.code, refused.out) == (2, "")
    assert "no price is known for the model 'claude-of-tomorrow'" in refused.err
    assert "ARCPOINT_PRICES_FILE, or set ARCPOINT_MODEL to" in refused.err
