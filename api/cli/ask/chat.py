"""`arcpoint chat`: question after question over one connection."""

from __future__ import annotations

import contextlib
import sys
from datetime import datetime

from api.cli.ask.answer_output import Extras, say_prompt, show_answer, text_output
from api.cli.ask.manifest_view import manifest_sheets
from api.cli.failure import KNOWN, reason
from api.cli.loop_thread import LoopThread
from api.cli.options import Asker, AsOf, Budget, parse_moment
from api.cli.terminal.streams import print_error, say
from api.services import Services, open_services
from api.settings import load_settings
from context_builder.answer.answer import Answer
from context_builder.prompt.render import render
from context_builder.question.request import QuestionInput
from context_builder.text.formatting import format_time

HELP = """\
Type a question, or one of these:
  /why         what the last answer was made of: every fact and every source
  /prompt      what the model was sent last
  /as-of ISO   ask about a past moment, such as /as-of 2026-11-20T08:00Z; /as-of now ends that
  /help        this text
  /quit        leave, as Ctrl-D does
Ctrl-C stops the answer that is being written. Each question stands alone: name what it is about."""


def chat(user: Asker = None, as_of: AsOf = None, budget: Budget = None) -> None:
    """Ask question after question over one connection; /help lists the commands."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401, PLC0415  gives the prompt editing and history, where Python has it
    settings = load_settings()
    # Memory goes on loading while the first question is typed.
    opening = open_services(settings, wait_for_memory=False)
    with LoopThread() as loop, loop.entered(opening) as services:
        conversation = Conversation(loop, services, user, as_of, budget)
        if sys.stdin.isatty():
            say("Ask about the gateway. /help lists the commands, Ctrl-D leaves.")
        while (line := _read_line(conversation.as_of)) is not None:
            if line in ("/quit", "/exit", "/q"):
                break
            if line:
                conversation.take(line)
            sys.stdout.flush()


def _read_line(as_of: datetime | None) -> str | None:
    """What was typed; None at the end of the input."""
    prompt = f"arcpoint @ {format_time(as_of)} UTC> " if as_of else "arcpoint> "
    try:
        return input(prompt if sys.stdin.isatty() else "").strip()
    except EOFError:
        if sys.stdin.isatty():
            say()
        return None
    except KeyboardInterrupt:
        say()
        return ""


class Conversation:
    """A session: who asks, about which moment, and the last answer."""

    def __init__(
        self,
        loop: LoopThread,
        services: Services,
        asker: str | None,
        as_of: datetime | None,
        budget: int | None,
    ) -> None:
        self.as_of = as_of
        self._loop = loop
        self._services = services
        self._asker = asker
        self._budget = budget
        self._last: Answer | None = None

    def take(self, line: str) -> None:
        """Does what a line says; whatever goes wrong in it, the session goes on."""
        try:
            if line.startswith("/"):
                self._command(*line.split(maxsplit=1))
            else:
                self._ask(line)
        except KeyboardInterrupt:
            say("(stopped)")
        except KNOWN as error:
            print_error(reason(error))

    def _ask(self, question: str) -> None:
        asked = QuestionInput(
            question=question, asked_by=self._asker, as_of=self.as_of, token_budget=self._budget
        )
        with text_output(Extras()) as output:
            self._last = self._loop.run(show_answer(self._services, asked, output))
        say()

    def _command(self, name: str, argument: str = "") -> None:
        match name:
            case "/why" if self._last is not None:
                output = text_output(Extras())
                for sheet in manifest_sheets(self._last.manifest):
                    output.show(sheet)
                say()
            case "/prompt" if self._last is not None:
                say_prompt(render(self._last.manifest))
            case "/why" | "/prompt":
                print_error("there is no answer yet; ask a question first")
            case "/as-of":
                self._set_moment(argument)
            case "/help":
                say(HELP)
            case _:
                print_error(f"unknown command {name}; /help lists the commands")

    def _set_moment(self, text: str) -> None:
        if text == "now":
            self.as_of = None
            return
        try:
            self.as_of = parse_moment(text)
        except ValueError as error:
            print_error(str(error))
