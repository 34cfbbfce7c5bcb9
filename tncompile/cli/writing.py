"""What leaves the program: results on standard output, problems on standard error, files whole."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from tncompile.files import replace_file
from tncompile.language.diagnostics.diagnostic import Diagnostic


class UsageError(Exception):
    """The command was called wrongly, or a file cannot be read or written: exit code 2."""


class OutputError(Exception):
    """Standard output takes no more, as on a full disk: exit code 2."""


def use_utf8() -> None:
    """Let both streams take any character, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def wants_color(stream: TextIO) -> bool:
    """Whether to color what goes to a stream: terminals only, and see https://no-color.org."""
    return _terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


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

    problems = tuple(diagnostics)
    if problems:
        say(render(problems, color=wants_color(sys.stderr)).rstrip("\n"))


def write_file(name: str, text: str) -> None:
    """Put a text where `-o` says (`-`: standard output); the file appears whole or not at all.

    The text goes to a temporary file beside the target, which is then moved into place. Raises
    `UsageError` where that cannot be done.
    """
    if name == "-":
        show(text)
        return
    try:
        target = Path(name).resolve()
        if target.is_dir():
            raise UsageError(f"cannot write {name}: it is a directory")
        if target.exists() and not target.is_file():  # /dev/null, a pipe: nothing to replace
            target.write_text(text, encoding="utf-8", newline="\n")
        else:
            replace_file(target, text)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {reason(error)}") from error


def reason(error: OSError) -> str:
    """The operating system's words, in our voice.

    >>> reason(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]
