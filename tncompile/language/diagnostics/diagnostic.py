"""What can be wrong with a program: codes, labels, diagnostics and the error that carries them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from traceback import extract_tb
from typing import Literal

from tncompile.language.syntax.source import Span

PACKAGE = Path(__file__).parents[2]
"""Frames in here say nothing about a spec."""


class Code(StrEnum):
    """The identity of a diagnostic; a code never changes its meaning."""

    UNEXPECTED_TOKEN = "TN101"
    UNEXPECTED_END = "TN102"
    UNKNOWN_CHARACTER = "TN103"
    UNTERMINATED_STRING = "TN104"
    UNKNOWN_NAME = "TN201"
    DECLARED_TWICE = "TN202"
    REPEATED_LEG = "TN203"
    NEVER_USED = "TN204"
    NO_SUCH_MEMBER = "TN205"
    IMPORT_FAILED = "TN206"
    MISPLACED = "TN207"
    WRONG_ARGUMENT = "TN208"
    OPTIONAL_NEVER_EXISTS = "TN209"
    BAD_SIZE = "TN301"
    REQUIREMENT_FAILED = "TN302"
    LENGTH_MISMATCH = "TN303"
    BAD_ARITHMETIC = "TN304"
    WRONG_TYPE = "TN305"
    SHAPES_DIFFER = "TN306"
    OVERSIZED_BOND = "TN307"
    BOND_ENDS = "TN401"
    HYPER_ENDS = "TN402"
    DANGLING_INDEX = "TN403"
    OUTPUT_NOT_CARRIED = "TN404"
    BATCH_MISSING = "TN405"
    ONE_OUTPUT = "TN406"
    UNCONNECTED = "TN407"
    WINDOW_FACE = "TN408"
    TOO_MANY = "TN501"
    NO_PLAN = "TN502"
    CANNOT_SPLIT = "TN503"
    MODEL_SHAPES = "TN601"
    UNKNOWN_LAYER = "TN602"
    NO_MATCH = "TN701"
    WEIGHT_MISFIT = "TN702"
    INTERNAL = "TN900"


WARNINGS = frozenset(
    {Code.NEVER_USED, Code.OPTIONAL_NEVER_EXISTS, Code.OVERSIZED_BOND, Code.UNCONNECTED}
)


@dataclass(frozen=True, slots=True)
class Label:
    """A place and a few words on what is the matter there."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: what, where, why the rule exists (`notes`) and what to type (`hint`).

    >>> try:
    ...     tncompile.loads("network A() { tensor t(i) output y() }").instantiate()
    ... except tncompile.CompileError as error:
    ...     first = error.diagnostics[0]
    >>> first.code, first.message
    (<Code.UNKNOWN_NAME: 'TN201'>, 'there is no index `i`')
    """

    code: Code
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    hint: str | None = None

    @property
    def severity(self) -> Literal["error", "warning"]:
        """`warning` for the codes that never stop a compilation, else `error`.

        >>> first.severity
        'error'
        """
        return "warning" if self.code in WARNINGS else "error"

    def sort_key(self) -> tuple[str, int, int, str]:
        """Order in the file, then by code.

        >>> first.sort_key()
        ('<text>', 23, 24, <Code.UNKNOWN_NAME: 'TN201'>)
        """
        span = self.primary.span
        return span.source.name, span.start, span.end, self.code


MOST_REPORTED = 100
"""More diagnostics than this of one stage help nobody: the last one says how many there are."""


def reported(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in order, cut after `MOST_REPORTED`."""
    ordered = sorted(diagnostics, key=Diagnostic.sort_key)
    left = len(ordered) - MOST_REPORTED
    if left <= 0:
        return tuple(ordered)
    last = ordered[MOST_REPORTED - 1]
    more = f"{left:,} more {last.severity}{'s' if left > 1 else ''} after this one"
    return (*ordered[: MOST_REPORTED - 1], replace(last, notes=(*last.notes, more)))


class CompileError(Exception):
    """The program has mistakes; `diagnostics` are those of the stage that failed, in order.

    `str(error)` is the full rendering, without color. Notebooks show that instead of a traceback.

    >>> try:
    ...     spec.instantiate("MPOO")
    ... except tncompile.CompileError as error:
    ...     print(str(error).splitlines()[0])
    error[TN201]: there is no block `MPOO` in `std/linear.tn`
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__()
        self.diagnostics = reported(diagnostics)

    def __str__(self) -> str:
        from tncompile.language.diagnostics.rendering import render

        return render(self.diagnostics)

    def __repr__(self) -> str:
        first, *others = self.diagnostics
        more = f" and {len(others)} more" if others else ""
        return f"CompileError({str(first.code)!r}, {first.message!r}{more})"

    def __reduce__(self) -> tuple[type[CompileError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the message, then the line that called, and no frame of ours."""
        from tncompile.language.diagnostics.rendering import render

        lines = render(self.diagnostics, color=True).splitlines()
        frames = extract_tb(self.__traceback__)
        outside = [not Path(frame.filename).is_relative_to(PACKAGE) for frame in frames]
        entered = outside.index(False) if False in outside else len(frames)
        if entered and (caller := frames[entered - 1]).line:
            lines += ["", f"called in line {caller.lineno}: {caller.line}"]
        return lines


CompileError.__module__ = "tncompile"
"""So that a traceback ends with the name it is caught by, and then with the message."""


class InternalError(Exception):
    """A bug of ours (TN900): a stage made something that its own `verify_` refuses."""
