"""A progress bar with rate and remaining time on standard error, if it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

Report = Callable[[int, int], None]
"""Called with the number done and the total."""

_MINUTE = 60


class _Rate(ProgressColumn):
    """Items per second, or per minute if they are slow."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:,.0f}/s" if speed >= 1 else f"{speed * _MINUTE:.1f}/min", style="dim")


class Bar:
    """Handle of a progress bar; a `Report`."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, done: int, total: int) -> None:
        """Show the number done and the total."""
        self._progress.update(self._task, completed=done, total=total)

    def describe(self, what: str) -> None:
        """Change the text beside the bar."""
        self._progress.update(self._task, description=what)


@contextmanager
def progress_bar(what: str) -> Iterator[Bar]:
    """Show a bar that disappears when its block ends."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        # With standard output piped, both would often end up on one screen.
        disable=not (console.is_terminal and sys.stdout.isatty()),
    )
    with bar:
        yield Bar(bar, bar.add_task(what, total=None))
