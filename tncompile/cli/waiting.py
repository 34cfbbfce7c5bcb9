"""A progress bar on standard error for what takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 1.0
"""Seconds of silence before a bar appears."""


class Bar:
    """A bar that draws itself once the work has taken long enough."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = monotonic()
        self._drawn: tuple[Progress, TaskID] | None = None

    def advance(self, done: int, total: int) -> None:
        """Note that `done` of `total` parts of the work are behind us."""
        if self._drawn is None and monotonic() - self._start > PATIENCE:
            self._drawn = self._draw()
        if self._drawn is not None:
            progress, task = self._drawn
            progress.update(task, completed=done, total=total)

    def _draw(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = progress.add_task(self._title)
        progress.start()
        return progress, task

    def wipe(self) -> None:
        """Take the bar off the terminal, if there is one."""
        if self._drawn is not None:
            self._drawn[0].stop()
            self._drawn = None


@contextmanager
def waiting(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """What to report progress to while the body runs; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = Bar(title)
    try:
        yield bar.advance
    finally:
        bar.wipe()
