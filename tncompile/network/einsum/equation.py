"""An einsum equation as values: operands and output, each with the places of its indices."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.language.diagnostics.excerpt import Line

DOTS = "..."
"""`...` among the indices of an operand."""

_INDENT = "    "
_WIDEST = 96
"""Characters of an equation that an error shows."""


@dataclass(frozen=True, slots=True)
class DotsAxis:
    """One of the axes that `...` covers; the last one is number 0, as they align on the right."""

    number: int


Label = str | int | DotsAxis
"""An index: a letter of an equation, a word or a number of the form with lists, `DOTS`."""


@dataclass(frozen=True, slots=True)
class Term:
    """One operand, or the output: its indices in order, and where each stands in the text.

    `sizes` are those of its axes, those that `...` covers among them; None is a batch axis.
    """

    labels: tuple[Label, ...]
    places: tuple[int, ...]
    start: int
    sizes: tuple[int | None, ...] = ()

    @property
    def legs(self) -> int:
        """How many axes it has beside those of `...`."""
        return len(self.labels) - self.labels.count(DOTS)


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation that was read: `text` is what errors show, and what places count in."""

    text: str
    operands: tuple[Term, ...]
    output: Term

    @property
    def title(self) -> str:
        """The equation on one line without spaces of its own, cut where it is long."""
        text = self.text if self.text.startswith("[") else "".join(self.text.split())
        text = Line(text, cut=False).shown
        return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"

    def error(self, message: str, place: int) -> ValueError:
        """The message with the equation, or what is around `place`, and a caret below it."""
        return mistake(self.text, message, place)


def mistake(text: str, message: str, place: int) -> ValueError:
    """The message with a text, or what is around `place` in it, and a caret below that place."""
    first = max(0, min(place - _WIDEST // 2, len(text) - _WIDEST))
    shown, caret = text[first : first + _WIDEST], place - first
    if first > 0:
        shown, caret = f"…{shown}", caret + 1
    if first + _WIDEST < len(text):
        shown += "…"
    line = Line(shown, cut=False)
    column, _ = line.columns(caret, caret + 1)
    return ValueError(f"{message}\n{_INDENT}{line.shown}\n{_INDENT}{' ' * column}^")


def named(label: Label) -> str:
    """How a message calls an index."""
    if isinstance(label, DotsAxis):
        return (
            "the last axis of `...`" if not label.number else f"axis -{label.number + 1} of `...`"
        )
    return f"`{label}`"


def counted(number: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "leg"), counted(3, "leg")
    ('1 leg', '3 legs')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"
