"""The audit trail on the command line: what was done here is in it, and what was done to it is found."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.support.command_line import PAST, Run

QUESTION = "Which deployments are unhealthy?"


def test_a_trail_is_listed_and_verified(arcpoint: Run, environment: dict[str, str]) -> None:
    """Commands leave entries; a change of one, and a cut at an anchor, end with exit code 1 and say where."""
    assert arcpoint("audit", "list").out == "no entries\n"
    assert arcpoint("ask", QUESTION, "--as-of", PAST, "--local").code == 0
    assert arcpoint("spend", "cap", "installation", "2").code == 0
    assert arcpoint("spend", "cap", "installation", "default").code == 0
    newest, cap, question = json.loads(arcpoint("audit", "list", "--json").out)["entries"]
    assert (newest["action"], cap["action"], cap["subject"]) == ("cap", "cap", "installation:")
    assert (question["action"], question["outcome"]) == ("question", "done")
    assert question["caller"].startswith("local:")
    table = arcpoint("audit", "list", "--action", "question", "--caller", question["caller"]).out
    assert question["subject"] in table
    assert QUESTION not in table
    anchor = arcpoint("audit", "head").out.strip()
    said = arcpoint("audit", "verify")
    assert (said.code, said.out) == (0, f"3 entries are in order; the last one is {anchor}\n")
    assert arcpoint("audit", "verify", "--from-anchor", anchor).out.startswith("0 entries after the anchor 3")
    refused = arcpoint("audit", "verify", "--from-anchor", "3")
    assert (refused.code, refused.out) == (2, "")
    assert "'3' is no anchor; give what `arcpoint audit head` printed" in refused.err
    _tamper(environment, "DELETE FROM audit_entries WHERE sequence = 3")
    assert arcpoint("audit", "verify").code == 0
    cut = arcpoint("audit", "verify", "--from-anchor", anchor)
    assert (cut.code, cut.out[:21]) == (1, "entry 3 is missing: t")
    _tamper(environment, "UPDATE audit_entries SET caller = 'local:bob' WHERE sequence = 2")
    broken = arcpoint("audit", "verify", "--json")
    assert (broken.code, json.loads(broken.out)["broken"]["fault"]) == (1, "altered")


def _tamper(environment: dict[str, str], statement: str) -> None:
    path = environment["ARCPOINT_DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entries'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("option", [["--since", "yesterday"], ["--limit", "0"]])
def test_wrong_options_are_refused(arcpoint: Run, option: list[str]) -> None:
    """The error says what is accepted."""
    assert arcpoint("audit", "list", *option).code == 2
