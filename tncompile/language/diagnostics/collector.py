"""Diagnostics gathered while a stage runs, and the exception that carries one out of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label, reported
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.syntax.source import Span

_HINT_BUDGET = 50_000


class Failed(Exception):  # noqa: N818 — control flow inside a stage, never seen outside
    """An expression or a leg has no value; `diagnostic` is None where the cause is reported."""

    def __init__(self, diagnostic: Diagnostic | None) -> None:
        super().__init__()
        self.diagnostic = diagnostic


class Problems:
    """The diagnostics of one stage, one of each code at each place.

    So a mistake in a family of a thousand members is reported once.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic] = ()) -> None:
        self._diagnostics: dict[tuple[Code, Span], Diagnostic] = {}
        self.extend(diagnostics)

    def add(self, diagnostic: Diagnostic | None) -> None:
        """Keep `diagnostic`, unless there is one of its code at its place."""
        if diagnostic is not None:
            self._diagnostics.setdefault((diagnostic.code, diagnostic.primary.span), diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Keep several."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that stop the compilation."""
        return tuple(d for d in self._diagnostics.values() if d.severity == "error")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that do not stop it, in the order of the file."""
        return reported(d for d in self._diagnostics.values() if d.severity == "warning")

    def raise_errors(self) -> None:
        """Raise a CompileError with the errors, if there are any."""
        if errors := self.errors:
            raise CompileError(errors)


class Suggestions:
    """`closest` under a budget, so that ten thousand typos among ten thousand names cost little."""

    def __init__(self) -> None:
        self._left = _HINT_BUDGET

    def closest(self, name: str, candidates: Sequence[str]) -> str | None:
        """The candidate that `name` was probably meant to be."""
        self._left -= len(candidates) + 1
        return closest(name, candidates) if self._left > 0 else None


def problem(
    code: Code,
    message: str,
    span: Span,
    label: str = "",
    notes: str | tuple[str, ...] = (),
    hint: str | None = None,
    secondary: Label | tuple[Label, ...] = (),
) -> Diagnostic:
    """A diagnostic whose primary label is `label` at `span`."""
    labels = secondary if isinstance(secondary, tuple) else (secondary,)
    written = (notes,) if isinstance(notes, str) else notes
    return Diagnostic(code, message, Label(span, label), labels, written, hint)


def failure(
    code: Code,
    message: str,
    span: Span,
    label: str,
    notes: str | tuple[str, ...] = (),
    hint: str | None = None,
    secondary: Label | tuple[Label, ...] = (),
) -> Failed:
    """The exception that carries such a diagnostic."""
    return Failed(problem(code, message, span, label, notes, hint, secondary))


def listed(names: Iterable[str], *, most: int = 8) -> str:
    """Names in backquotes as a phrase; after `most` of them, the number of the others.

    >>> listed(["a", "b", "c"])
    '`a`, `b` and `c`'
    """
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > most:
        return ", ".join(quoted[:most]) + f" and {len(quoted) - most} more"
    return " and ".join(filter(None, [", ".join(quoted[:-1]), *quoted[-1:]]))


def counted(count: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "item"), counted(3, "item")
    ('1 item', '3 items')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def with_article(kind: str) -> str:
    """The kind with its article.

    >>> with_article("index"), with_article("bond")
    ('an index', 'a bond')
    """
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
