"""Progress on standard error: how far, how fast, how long still. Nothing where nobody watches."""

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
"""Called with how many are done and how many there are."""

_MINUTE = 60


class _Rate(ProgressColumn):
    """How many are done in a second, or in a minute where that is more telling."""

    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:,.0f}/s" if speed >= 1 else f"{speed * _MINUTE:.1f}/min", style="dim")


class Bar:
    """Moves a bar; a Report."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, done: int, total: int) -> None:
        """Shows how many are done and how many there are."""
        self._progress.update(self._task, completed=done, total=total)

    def describe(self, what: str) -> None:
        """Says beside the bar what is being done now."""
        self._progress.update(self._task, description=what)


@contextmanager
def progress_bar(what: str) -> Iterator[Bar]:
    """A bar that goes away when its block ends."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        # Whoever reads a pipe would often see both on one screen.
        disable=not (console.is_terminal and sys.stdout.isatty()),
    )
    with bar:
        yield Bar(bar, bar.add_task(what, total=None))
