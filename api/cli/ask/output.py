"""Shows an answer: streamed to a terminal, as text in a pipe, or as JSON for a program."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.console import Console
from rich.text import Text
from rich.theme import Theme
from typing_extensions import override

from api.cli.ask.manifest_tables import manifest_tables
from api.cli.ask.notes import footer, notes
from api.cli.terminal.json_output import say_json
from api.cli.terminal.streams import say
from api.cli.terminal.text_table import TextTable, plain_lines, renderable
from api.http.json_body import prepare, to_document
from context_builder.answer.answer import Answer
from context_builder.prompt.manifest import Manifest
from context_builder.prompt.prompt import Prompt
from context_builder.prompt.render import render

if TYPE_CHECKING:
    from api.cli.terminal.markdown_stream import MarkdownStream

_MAX_COLUMNS = 120
"""Maximum width of text, in columns: longer lines are hard to read."""

_CALM = Theme({"markdown.code": "cyan", "markdown.item.number": "dim", "markdown.item.bullet": "dim"})


@dataclass(frozen=True, slots=True)
class Extras:
    """Optional output besides the answer and its notes."""

    prompt: bool = False
    manifest: bool = False


class AnswerOutput(Protocol):
    """Shows one answer; use it in a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def wait(self, what: str) -> None:
        """Say what it is waiting for."""
        ...

    def built(self, manifest: Manifest, model: str | None) -> None:
        """Handle the built context, whose prompt goes to the model if there is one."""
        ...

    def add(self, piece: str) -> None:
        """Handle the next piece of the model's text."""
        ...

    def finish(self, answer: Answer) -> None:
        """Handle the complete, checked answer."""
        ...


class PlainOutput:
    """Plain text without colours, boxes or wrapped lines, when the answer is complete."""

    def __init__(self, extras: Extras) -> None:
        self.extras = extras

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def wait(self, what: str) -> None:
        """Ignore it: nobody watches."""

    def built(self, manifest: Manifest, model: str | None) -> None:
        """Ignore it: the prompt is shown at the end."""

    def add(self, piece: str) -> None:
        """Ignore it: the complete text is shown at the end."""

    def finish(self, answer: Answer) -> None:
        """Show everything."""
        if self.extras.prompt:
            say_prompt(render(answer.manifest))
        say(answer.text.strip())
        for table in notes(answer):
            self.show(table)
        say()
        for line in footer(answer):
            say(line)
        if self.extras.manifest:
            for table in manifest_tables(answer.manifest):
                self.show(table)

    def show(self, table: TextTable) -> None:
        """Show a table below an empty line."""
        say()
        for line in plain_lines(table):
            say(line)


class JsonOutput(PlainOutput):
    """One JSON document, the same as the body of the HTTP service."""

    @staticmethod
    def prepare() -> None:
        """Build the serializers, which reads files: before the event loop runs."""
        prepare(Answer, Prompt)

    @override
    def finish(self, answer: Answer) -> None:
        document: dict[str, Any] = to_document(answer)
        if self.extras.prompt:
            document["prompt"] = to_document(render(answer.manifest))
        say_json(document)


class TerminalOutput:
    """The answer as it is written, then its notes, in few colours."""

    def __init__(self, extras: Extras) -> None:
        self.extras = extras
        from api.cli.terminal.markdown_stream import MarkdownStream  # noqa: PLC0415  in a pipe nobody needs it

        self.console = terminal()
        self._stream: MarkdownStream = MarkdownStream(self.console)

    def __enter__(self) -> Self:
        self._stream.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.__exit__(kind, error, trace)

    def wait(self, what: str) -> None:
        """Show a spinner beside it."""
        self._stream.wait(what)

    def built(self, manifest: Manifest, model: str | None) -> None:
        """Show the prompt if requested."""
        if self.extras.prompt:
            say_prompt(render(manifest))
        if model is not None:
            self._stream.wait(f"asking {model} (prompt of at most {manifest.token_bound:,} tokens)")

    def add(self, piece: str) -> None:
        """Show it at once."""
        self._stream.add(piece)

    def finish(self, answer: Answer) -> None:
        """Show the rest."""
        self._stream.end()
        if self._stream.text and answer.model is None:
            self.console.print(Text("(the reply was cut off here)", style="yellow"))
        if answer.model is None:
            self._stream.add(answer.text)
        self._stream.end()
        for table in notes(answer):
            self.show(table)
        self.console.print()
        for line in footer(answer):
            self.console.print(Text(line, style="dim"))
        if self.extras.manifest:
            for table in manifest_tables(answer.manifest):
                self.show(table)

    def show(self, table: TextTable) -> None:
        """Show a table below an empty line."""
        self.console.print()
        self.console.print(renderable(table))


def text_output(extras: Extras) -> PlainOutput | TerminalOutput:
    """Return the output for a person: a terminal's if standard output is one."""
    return TerminalOutput(extras) if sys.stdout.isatty() else PlainOutput(extras)


def terminal() -> Console:
    """Create a console that prints text unchanged, at a readable width."""
    columns = min(shutil.get_terminal_size().columns, _MAX_COLUMNS)
    return Console(width=columns, highlight=False, markup=False, emoji=False, theme=_CALM)


def say_prompt(prompt: Prompt) -> None:
    """Show the prompt of a model call."""
    parts = (("system", prompt.system), ("user", prompt.message))
    for title, text in parts:
        say(f"--- {title} ---\n{text.rstrip()}\n")
    say("--- answer ---")
