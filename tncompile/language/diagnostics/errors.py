"""The exceptions that end a compilation."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

from tncompile.language.diagnostics.diagnostic import Diagnostic, reported

_PACKAGE = Path(__file__).parents[2]


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
        return self._rendered(color=False)

    def __repr__(self) -> str:
        first, *others = self.diagnostics
        more = f" and {len(others)} more" if others else ""
        return f"CompileError({str(first.code)!r}, {first.message!r}{more})"

    def __reduce__(self) -> tuple[type[CompileError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)

    def _rendered(self, *, color: bool) -> str:
        from tncompile.language.diagnostics.rendering import render  # light start-up

        return render(self.diagnostics, color=color)

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the message, then the line of user code that called the package."""
        lines = self._rendered(color=True).splitlines()
        frames = extract_tb(self.__traceback__)
        outside = [not Path(frame.filename).is_relative_to(_PACKAGE) for frame in frames]
        entered = outside.index(False) if False in outside else len(frames)
        if entered and (caller := frames[entered - 1]).line:
            lines += ["", f"called in line {caller.lineno}: {caller.line}"]
        return lines


CompileError.__module__ = "tncompile"  # a traceback ends with the name that users catch


class InternalError(Exception):
    """A bug of the compiler (TN900): a stage returned something that its own check refuses."""
