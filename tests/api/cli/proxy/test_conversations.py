"""`arcpoint proxy diff`, `learned` and `forget` on a database of the demo story."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import Run


def test_a_saved_request_is_shown_before_and_after(arcpoint: Run, tmp_path: Path) -> None:
    """The changes in words, then a diff; nothing is stored, so a second look shows the same."""
    file = tmp_path / "request.json"
    body = {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "Is the gateway down?"}]}
    file.write_text(json.dumps(body))
    shown = arcpoint("proxy", "diff", str(file))
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("inserted ")
    assert "+" in shown.out.splitlines()[-3]
    assert "=== gateway context" in shown.out
    assert "=== gateway context" in arcpoint("proxy", "diff", str(file)).out
    assert arcpoint("proxy", "diff", str(file), "--policy", "off").out == "unchanged\n"


def test_what_is_no_request_is_refused(arcpoint: Run, tmp_path: Path) -> None:
    """One line that says what is expected."""
    file = tmp_path / "request.json"
    file.write_text("[]")
    refused = arcpoint("proxy", "diff", str(file))
    assert (refused.code, refused.out) == (2, "")
    assert "expected a JSON object with `messages`" in refused.err


def test_nothing_learnt_is_said(arcpoint: Run) -> None:
    """And a conversation that is not known cannot be forgotten."""
    assert arcpoint("proxy", "learned").out == "nothing is learnt yet\n"
    refused = arcpoint("proxy", "forget", "c0ffee")
    assert (refused.code, "is not known" in refused.err) == (2, True)
    assert "give --idle-days" in arcpoint("proxy", "forget").err
    assert (arcpoint("proxy", "forget", "--idle-days", "30").code, refused.out) == (0, "")
