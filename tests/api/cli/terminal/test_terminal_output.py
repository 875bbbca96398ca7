"""What `arcpoint ask` leaves on a terminal, at 80 columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from tests.loopback.messages_api import Cut, MessagesApi, Reply
from tests.support.command_line import PAST, Run, screen_after

SLOW = "Why are premium users slow?"
COLUMNS = 80

Show = Callable[..., list[str]]


@pytest.fixture
def on_terminal(arcpoint: Run, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs a command whose output goes to a terminal; `out` is what stands there in the end."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("api.cli.terminal.markdown_stream._FRAME_S", 0)

    def invoke(*arguments: object) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        result = arcpoint(*arguments)
        assert (result.code, result.err) == (0, "")
        return [line.rstrip() for line in screen_after(result.out)]

    return invoke


def test_the_answer_comes_first_then_its_notes(on_terminal: Show, with_model: MessagesApi) -> None:
    """Streamed in pieces, the answer stands once; below it notes in their order; nothing is too wide."""
    with_model.always(
        Reply(text="It is **slow** since v2.4.0 [L1].\n\n- See [V0].\n- Or 4711 [V0].", piece_length=5)
    )
    lines = on_terminal("ask", SLOW, "--as-of", PAST, "--budget", 3000)
    assert lines[:4] == ["It is slow since v2.4.0 [L1].", "", " • See [V0].", " • Or 4711 [V0]."]
    titles = [line for line in lines[4:] if line and not line.startswith(" ")]
    assert titles[:4] == [
        "Not supported by the facts",
        "References",
        "Unknown",
        "Left out to stay within the token budget",
    ]
    assert max(map(len, lines)) <= COLUMNS


def test_a_reply_that_broke_off_is_told_from_the_brief(on_terminal: Show, with_model: MessagesApi) -> None:
    """What was shown already stays, is marked, and is followed by the facts themselves."""
    with_model.always(Cut(after_pieces=3, reply=Reply(text="It is slow because of the router. " * 9)))
    lines = on_terminal("ask", SLOW, "--as-of", PAST)
    mark = lines.index("(the reply was cut off here)")
    assert "".join(lines[:mark]).startswith("It is slow because of the router.")
    assert "The model returned no complete answer:" in "\n".join(lines[mark:])
    assert any(line.startswith("Likely: ") for line in lines[mark:])


def test_why_and_the_prompt_fit_the_terminal(on_terminal: Show, arcpoint: Run) -> None:
    """No column of --why is cut off: each fact's whole text stands below its row, and nothing is too wide."""
    asked = ("ask", SLOW, "--as-of", PAST, "--budget", 3000)
    lines = on_terminal(*asked, "--why", "--show-prompt")
    assert "--- user ---" in lines
    below = lines[lines.index("--- answer ---") :]
    assert max(map(len, below)) <= COLUMNS
    header = next(place for place, line in enumerate(below) if line.split()[:3] == ["ref", "source", "shown"])
    table = squeezed("".join(below[header:]))
    for fact in json.loads(arcpoint(*asked, "--json").out)["manifest"]["facts"]:
        assert squeezed(f"{fact['reason']}{fact['text']}") in table


def squeezed(text: str) -> str:
    """The text without white space, which wrapping changes."""
    return "".join(text.split())
