"""Markdown on a terminal: nothing is lost, and streaming ends with the same picture as printing at once."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.cli.terminal.markdown import TerminalMarkdown, split_blocks
from api.cli.terminal.markdown_stream import MarkdownStream
from tests.support.command_line import screen_after

WIDTH, HEIGHT = 60, 12
ANSWER = """\
**gpt-4/aws is slow** since `v2.4.0`: <none> of <Response [503]> helped [L1, L2].

## Evidence

- p95 is 13,374 ms [L1]
- a_very_long_name_that_no_column_has_room_for_since_it_goes_on_and_on_and_on_and_on [R1]

| deployment | reason |
|---|---|
| gpt-4/aws | another_very_long_name_that_no_column_has_room_for_since_it_goes_on_and_on |

1. Roll back, see [the runbook](https://runbooks.example/router).

```
kubectl rollout undo

kubectl get pods
```
Done."""


def printed(text: str, *, color: bool = False) -> str:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=WIDTH, color_system="standard" if color else None
    )
    console.print(TerminalMarkdown(text))
    return screen.getvalue()


def test_no_character_of_an_answer_is_dropped() -> None:
    """HTML-like words, long names in tables and the addresses of links are all shown."""
    shown = "".join(printed(ANSWER).split())
    for word in re.findall(
        r"[\w<>/.:\[\],-]+", ANSWER.replace("`", "").replace("[the runbook]", "the runbook ")
    ):
        if not set(word) <= set("-|#*") and word != "1.":
            assert word.strip(":") in shown, word
    assert "…" not in shown


def test_what_steers_a_terminal_is_replaced() -> None:
    """A reply cannot clear the screen, colour what follows or reverse its direction."""
    assert "\x1b[2J" not in printed("a \x1b[2J b")
    assert "\u202e" not in printed("a \u202e b")


def test_references_stand_back() -> None:
    """References have a style of their own, so that the sentence is read first."""
    assert "\x1b[2;36m[L1, L2]\x1b[0m" in printed("It is slow [L1, L2].", color=True)


@given(st.text(st.sampled_from("ab \n`~-#|1."), max_size=80))
def test_blocks_are_split_where_nothing_can_change_any_more(text: str) -> None:
    """The two parts are the text; the first part ends with an empty line outside of any code."""
    done, growing = split_blocks(text)
    assert done + growing == text
    assert not done or done.endswith("\n")
    assert split_blocks(done) == (done, "")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_streaming_ends_with_what_printing_shows(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the text was cut into pieces and however often it was drawn, the same lines are left."""
    monkeypatch.setattr("api.cli.terminal.markdown_stream._FRAME_S", 0)
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=WIDTH, height=HEIGHT, color_system=None)
    with MarkdownStream(console) as stream:
        for start in range(0, len(ANSWER), size):
            stream.add(ANSWER[start : start + size])
        stream.end()
    assert stream.text == ANSWER
    left = [line.rstrip() for line in screen_after(output.getvalue())]
    at_once = [line.rstrip() for line in printed(ANSWER).splitlines()]
    assert [line for line in left if line] == [line for line in at_once if line]
    assert "\n\n\n" not in "\n".join(left)


def test_a_stream_that_is_stopped_keeps_what_was_shown() -> None:
    """Ctrl-C in the middle of a block does not take back what was read already."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=WIDTH, height=HEIGHT, color_system=None)
    with pytest.raises(KeyboardInterrupt), MarkdownStream(console) as stream:
        stream.wait("asking")
        stream.add("First.\n\nSecond, not")
        raise KeyboardInterrupt
    assert [line.rstrip() for line in screen_after(output.getvalue())][-3:] == ["First.", "", "Second, not"]
