"""A progress bar on standard error for what takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 1.0
"""Seconds of silence before a bar appears."""


class _Bar:
    """A bar that a timer thread starts and the working thread stops, in whichever order."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._lock = Lock()
        self._stopped = False
        self._progress: Progress | None = None

    def start(self) -> None:
        """Draw the bar, unless the work has ended meanwhile."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._stopped:
                return
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.add_task(self._title, total=None)
            self._progress.start()

    def stop(self) -> None:
        """Wipe the bar off the terminal, if there is one."""
        with self._lock:
            self._stopped = True
            if self._progress is not None:
                self._progress.stop()


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show `title` and a moving bar while the body runs, on terminals, after a second."""
    if not sys.stderr.isatty():
        yield
        return
    bar = _Bar(title)
    timer = Timer(PATIENCE, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        bar.stop()
