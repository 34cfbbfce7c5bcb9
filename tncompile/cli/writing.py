"""What leaves the program: results on standard output, problems and progress on standard error."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from tncompile.files import replaced
from tncompile.language.diagnostics.diagnostic import Diagnostic

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class UsageError(Exception):
    """The command was called wrongly, or a file cannot be read or written: exit code 2."""


class OutputError(Exception):
    """Standard output takes no more, as on a full disk: exit code 2."""


def use_utf8() -> None:
    """Let both streams take any character, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def show(text: str) -> None:
    """A result, on standard output, with a line break at its end."""
    _printing(lambda: sys.stdout.write(text if text.endswith("\n") else text + "\n"))


def flush() -> None:
    """Let standard output out. Raises `OutputError` where it takes no more."""
    if _is_open(sys.stdout):
        _printing(sys.stdout.flush)


def _is_open(stream: TextIO | None) -> bool:
    """Whether there is a stream: whoever starts us may have closed it."""
    return stream is not None


def _terminal(stream: TextIO) -> bool:
    return _is_open(stream) and stream.isatty()


def _printing(act: Callable[[], object]) -> None:
    if not _is_open(sys.stdout):
        raise OutputError("cannot write to standard output: it is closed")
    try:
        act()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {reason(error)}") from error


def columns() -> int:
    """The columns that a table may take: 100, more on a wider terminal or where COLUMNS says so."""
    if not (_terminal(sys.stdout) or os.environ.get("COLUMNS")):
        return 100
    return max(100, shutil.get_terminal_size((100, 24)).columns)


def say(text: str) -> None:
    """A remark for the person at the terminal, on standard error."""
    if _is_open(sys.stderr):
        sys.stderr.write(text + "\n")


def report(diagnostics: Iterable[Diagnostic]) -> None:
    """Problems and warnings, rendered on standard error, in the order of the file."""
    from tncompile.language.diagnostics.rendering import render

    if problems := tuple(diagnostics):
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"  # no-color.org
        say(render(problems, color=_terminal(sys.stderr) and not plain).rstrip("\n"))


def write_file(name: str, content: str | bytes) -> None:
    """Put a text, or bytes, where `-o` says (`-`: standard output), whole or not at all.

    Raises `UsageError` where that cannot be done.
    """
    if name == "-":
        show(content if isinstance(content, str) else content.decode())
        return
    data = content.encode() if isinstance(content, str) else content
    with refused(f"cannot write {name}: ", OSError, RuntimeError):  # a link to itself
        target = Path(name).resolve()
        if target.is_dir():
            raise UsageError(f"cannot write {name}: it is a directory")
        if target.exists() and not target.is_file():  # /dev/null, a pipe: nothing to replace
            target.write_bytes(data)
        else:
            with replaced(target) as temporary:
                temporary.write_bytes(data)


@contextmanager
def refused(what: str, *errors: type[Exception]) -> Iterator[None]:
    """`UsageError` for such an error in the body: `what`, then the words of the error."""
    try:
        yield
    except errors as error:
        words = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"{what}{words}") from error


def reason(error: OSError) -> str:
    """The operating system's words, in our voice.

    >>> reason(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]


# ── progress ────────────────────────────────────────────────────────────────────────────────────

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
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._drawn = progress, progress.add_task(self._title)
            progress.start()
        if self._drawn is not None:
            progress, task = self._drawn
            progress.update(task, completed=done, total=total)

    def wipe(self) -> None:
        """Take the bar off the terminal, if there is one."""
        if self._drawn is not None:
            self._drawn[0].stop()
            self._drawn = None


@contextmanager
def waiting(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """What to report progress to while the body runs; None where nobody watches."""
    if not _terminal(sys.stderr):
        yield None
        return
    bar = Bar(title)
    try:
        yield bar.advance
    finally:
        bar.wipe()
