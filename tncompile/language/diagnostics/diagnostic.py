"""What can be wrong with a program: codes, labels and diagnostics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from tncompile.language.syntax.source import Span


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
    KINDS = "TN603"
    NOT_CALLABLE = "TN604"
    NO_SUCH_AXIS = "TN605"
    RUNTIME_SIZE = "TN606"
    VALUE_FOR_NUMBER = "TN607"
    UNDECIDED_SIZES = "TN608"
    NOT_CAUSAL = "TN609"
    NUMBER_OF_VALUES = "TN610"
    UNKNOWN_LEG_SIZE = "TN611"
    NOTHING_TO_TIE = "TN612"
    NO_MATCH = "TN701"
    WEIGHT_MISFIT = "TN702"
    INTERNAL = "TN900"


WARNINGS = frozenset(
    {Code.NEVER_USED, Code.OPTIONAL_NEVER_EXISTS, Code.OVERSIZED_BOND, Code.UNCONNECTED}
    | {Code.UNDECIDED_SIZES}
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
"""Diagnostics of one stage that are shown at most; a note of the last one counts the others."""


def reported(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in order, cut after `MOST_REPORTED`."""
    ordered = sorted(diagnostics, key=Diagnostic.sort_key)
    omitted = len(ordered) - MOST_REPORTED
    if omitted <= 0:
        return tuple(ordered)
    last = ordered[MOST_REPORTED - 1]
    more = f"{omitted:,} more {last.severity}{'s' if omitted > 1 else ''} after this one"
    return (*ordered[: MOST_REPORTED - 1], replace(last, notes=(*last.notes, more)))
