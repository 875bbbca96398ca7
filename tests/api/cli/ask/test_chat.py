"""`arcpoint chat`: one session, whatever happens in it."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import time

import pytest

from tests.loopback.messages_api import Fail, MessagesApi, Reply
from tests.support.command_line import PAST, START_ON_TERMINAL, Result, Run, Start

SLOW = "Why are premium users slow?"


@pytest.fixture
def typed(arcpoint: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a session in which these lines are typed, and then the input ends."""

    def session(*lines: str, options: tuple[str, ...] = ()) -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return arcpoint("chat", *options)

    return session


def test_each_question_is_one_call(typed: Run, with_model: MessagesApi) -> None:
    """A session answers question after question, and stops at the end of its input."""
    result = typed(SLOW, "", "Which deployments are unhealthy?")
    assert (result.code, result.err) == (0, "")
    assert len(with_model.messages) == 2
    assert result.out.count("References") == 2


def test_an_error_keeps_the_session_going(typed: Run, with_model: MessagesApi) -> None:
    """A question that cannot be used, an unknown command, a failed call: told, and the next line counts."""
    with_model.script(Fail(status=529))
    result = typed("?!", "/nonsense", "/as-of noon", "/why", SLOW, "/help", SLOW)
    assert result.code == 0
    assert [line.partition(";")[0] for line in result.err.splitlines()] == [
        "arcpoint: the question contains no words",
        "arcpoint: unknown command /nonsense",
        "arcpoint: 'noon' is not an ISO 8601 time",
        "arcpoint: there is no answer yet",
    ]
    assert "overloaded" in result.out
    assert "/as-of ISO" in result.out
    assert result.out.count("References") == 1


def test_the_last_answer_can_be_looked_into(typed: Run, with_model: MessagesApi) -> None:
    """/prompt shows what was sent, byte for byte; /why shows every source; /quit leaves."""
    result = typed(SLOW, "/prompt", "/why", "/quit", "never asked")
    (call,) = with_model.messages
    sent = "".join(block["text"] for block in call.body["messages"][0]["content"])
    assert sent.rstrip() in result.out
    assert "Sources, read in parallel in" in result.out
    assert "never asked" not in result.out


def test_a_past_moment_holds_until_now(typed: Run) -> None:
    """/as-of and --as-of move every question that follows; /as-of now ends that."""
    result = typed(SLOW, "/as-of now", SLOW, "/as-of 2026-11-19T10:00+01:00", SLOW, options=("--as-of", PAST))
    moments = [line[:22] for line in result.out.splitlines() if " · tier premium" in line]
    assert moments[0] == "as of 2026-11-20 08:00"
    assert not moments[1].startswith("as of")
    assert moments[2] == "as of 2026-11-19 09:00"


def test_ctrl_c_stops_the_answer_and_not_the_session(start: Start, with_model: MessagesApi) -> None:
    """What was written stays, the connection is closed, the next question is answered; Ctrl-D leaves."""
    with_model.always(Reply(text="first words. " * 50, delay_s=0.1))
    terminal, other_end = pty.openpty()
    process = start("chat", code=START_ON_TERMINAL, stdin=other_end, stdout=other_end, stderr=other_end)
    os.close(other_end)
    screen = Screen(terminal)
    screen.until("arcpoint> ")
    screen.type(f"{SLOW}\r")
    screen.until("first words.")
    screen.type("\x03")
    screen.until("(stopped)")
    deadline = time.monotonic() + 60
    while not with_model.journal.disconnects and time.monotonic() < deadline:
        time.sleep(0.01)
    assert with_model.journal.disconnects == 1
    with_model.always(Reply(text="second answer"))
    screen.type(f"{SLOW}\r")
    screen.until("second answer")
    screen.until("arcpoint> ")
    screen.type("\x04")
    assert process.wait(20) == 0
    assert "Traceback" not in screen.seen
    os.close(terminal)


class Screen:
    """The other side of a terminal."""

    def __init__(self, terminal: int) -> None:
        self.seen = ""
        self._terminal = terminal
        self._from = 0

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> None:
        """Waits for a text that comes after everything that was waited for before."""
        while text not in self.seen[self._from :]:
            ready, _, _ = select.select([self._terminal], [], [], 30)
            assert ready, self.seen
            self.seen += os.read(self._terminal, 65536).decode(errors="replace")
        self._from = self.seen.index(text, self._from) + len(text)
