"""`arcpoint ask --reveal`: secrets on the asker's own terminal, and nowhere else."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.loopback.messages_api import MessagesApi, Reply
from tests.support.command_line import PAST, Run

SECRET = "Xy7hunter22"
ASK = ("ask", f"Why does gpt-4/aws fail with password={SECRET} now?", "--as-of", PAST)


def echo(body: Mapping[str, Any]) -> str:
    """What a model says that repeats the placeholder of its prompt."""
    placeholder = re.search(r"<SECRET:password:[0-9a-f]{8}>", json.dumps(body, ensure_ascii=False))
    assert placeholder
    return f"It fails with {placeholder.group()}."


def test_secrets_come_back_on_a_terminal_and_are_not_sent_or_stored(
    arcpoint: Run,
    with_model: MessagesApi,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law 7: also where the placeholder arrives in pieces; without the option it stays."""
    with_model.always(Reply(text=echo, piece_length=4))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert f"It fails with {SECRET}." in arcpoint(*ASK, "--reveal").out
    plain = arcpoint(*ASK).out
    assert "SECRET:password:" in plain
    assert SECRET not in plain
    assert SECRET not in json.dumps([request.body for request in with_model.messages])
    with sqlite3.connect(environment["ARCPOINT_DATABASE_URL"].partition("///")[2]) as stored:
        logged = "\n".join(stored.iterdump()).partition('INSERT INTO "questions"')[2]
    assert "SECRET:password" in logged
    assert SECRET not in logged


def test_what_is_redirected_reveals_nothing(arcpoint: Run, with_model: MessagesApi) -> None:
    """It is refused before anything is read or sent, and says what would be accepted."""
    refused = arcpoint(*ASK, "--reveal")
    assert (refused.code, refused.out) == (2, "")
    assert "--reveal shows secrets, and only on a terminal" in refused.err
    assert with_model.messages == []
