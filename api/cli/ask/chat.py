"""`arcpoint chat`: several questions over one connection."""

from __future__ import annotations

import contextlib
import sys
from datetime import datetime

from api.cli.ask.asker import Asker, open_asker
from api.cli.ask.manifest_tables import manifest_tables
from api.cli.ask.output import Extras, say_prompt, text_output
from api.cli.failure import error_text, user_errors
from api.cli.loop_thread import LoopThread
from api.cli.options import AskedBy, AsOf, Budget, Local, ServiceUrl, parse_time, settings_for
from api.cli.terminal.streams import print_error, say
from context_builder.answer.answer import Answer
from context_builder.prompt.render import render
from context_builder.question.request import QuestionInput
from context_builder.text.formatting import format_time

HELP = """\
Type a question, or one of these:
  /why         every fact and source of the last answer
  /prompt      the last prompt sent to the model
  /as-of ISO   answer as of a past time, such as /as-of 2026-11-20T08:00Z; /as-of now resets it
  /help        this help
  /quit        leave, same as Ctrl-D
Ctrl-C stops the current answer. Questions do not refer to earlier ones: name what each is about."""


def chat(
    user: AskedBy = None,
    as_of: AsOf = None,
    budget: Budget = None,
    service: ServiceUrl = None,
    *,
    local: Local = False,
) -> None:
    """Ask several questions interactively; /help lists the commands."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401, PLC0415  adds editing and history to the prompt, if available
    # Memory keeps loading while the first question is typed.
    opening = open_asker(settings_for(service), only_here=local)
    with LoopThread() as loop, loop.entered(opening) as asker:
        conversation = Conversation(loop, asker, user, as_of, budget)
        if sys.stdin.isatty():
            say("Ask about the gateway. /help lists the commands, Ctrl-D leaves.")
        while (line := _read_line(conversation.as_of)) is not None:
            if line in ("/quit", "/exit", "/q"):
                break
            if line:
                conversation.handle(line)
            sys.stdout.flush()


def _read_line(as_of: datetime | None) -> str | None:
    """Read one line; None at the end of the input."""
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
    """A session: the user, the point in time, and the last answer."""

    def __init__(
        self,
        loop: LoopThread,
        asker: Asker,
        user: str | None,
        as_of: datetime | None,
        budget: int | None,
    ) -> None:
        self.as_of = as_of
        self._loop = loop
        self._asker = asker
        self._user = user
        self._budget = budget
        self._last: Answer | None = None

    def handle(self, line: str) -> None:
        """Handle one line; the session survives any error in it."""
        try:
            if line.startswith("/"):
                self._command(*line.split(maxsplit=1))
            else:
                self._ask(line)
        except KeyboardInterrupt:
            say("(stopped)")
        except user_errors() as error:
            print_error(error_text(error))

    def _ask(self, question: str) -> None:
        asked = QuestionInput(
            question=question, asked_by=self._user, as_of=self.as_of, token_budget=self._budget
        )
        self._last = self._loop.run(self._asker.show_answer(asked, lambda: text_output(Extras())))
        say()

    def _command(self, name: str, argument: str = "") -> None:
        match name:
            case "/why" if self._last is not None:
                output = text_output(Extras())
                for table in manifest_tables(self._last.manifest):
                    output.show(table)
                say()
            case "/prompt" if self._last is not None:
                say_prompt(render(self._last.manifest))
            case "/why" | "/prompt":
                print_error("there is no answer yet; ask a question first")
            case "/as-of":
                self._set_as_of(argument)
            case "/help":
                say(HELP)
            case _:
                print_error(f"unknown command {name}; /help lists the commands")

    def _set_as_of(self, text: str) -> None:
        if text == "now":
            self.as_of = None
            return
        try:
            self.as_of = parse_time(text)
        except ValueError as error:
            print_error(str(error))
