"""Einsum equations as values, and how people write them: `"ij,jk->ik"`, or lists of indices."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from numbers import Number
from types import EllipsisType

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
        axis = f"axis -{label.number + 1}" if label.number else "the last axis"
        return f"{axis} of `...`"
    return f"`{label}`"


def counted(number: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "leg"), counted(3, "leg")
    ('1 leg', '3 legs')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


# ── either form ──────────────────────────────────────────────────────────────────────────────────

Indices = Iterable[object]
"""The indices of an operand in the form with lists: whole numbers, letters, words, `...`."""

MOST_CHARACTERS = 200_000
"""Characters of an equation, as many as those of a file."""

MOST_INDICES = 10_000
"""Indices of one operand in the form with lists; beyond it a list is taken for endless."""

LARGEST_NUMBER = 10**9
"""The largest number that stands for an index in the form with lists."""

_MEANT = {
    **dict.fromkeys("→⟶⇒", "->"),
    **dict.fromkeys("…⋯", "..."),
    **dict.fromkeys("，、", ","),
    **dict.fromkeys("−–—", "-"),
}
"""Characters that editors put in the place of those of an equation."""

_TOKEN = re.compile(r"\.\.\.|.", re.DOTALL)


def read(first: object, rest: tuple[object, ...]) -> tuple[Equation, tuple[object, ...]]:
    """The equation and the shapes of its operands, from the arguments in either form."""
    if isinstance(first, str):
        return _read_text(first), rest
    shaped = isinstance(first, Iterable) or hasattr(first, "shape") or isinstance(first, Number)
    if not shaped or isinstance(first, bytes):
        raise TypeError(
            'from_einsum takes an equation and shapes, `"ij,jk->ik", (2, 3), (3, 4)`, or shapes,'
            " each followed by its indices, `(2, 3), [0, 1], (3, 4), [1, 2], [0, 2]`; not"
            f" {type(first).__name__}"
        )
    arguments = (first, *rest)
    pairs = len(arguments) // 2
    if not pairs:
        raise TypeError("the indices of the first operand are missing: `(2, 3), [0, 1], …`")
    output = arguments[-1] if len(arguments) % 2 else None
    return _read_lists(arguments[1 : 2 * pairs : 2], output), arguments[: 2 * pairs : 2]


# ── the form with letters ────────────────────────────────────────────────────────────────────────


def _read_text(text: str) -> Equation:
    """Operands and output with the place of every letter; spaces mean nothing."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"an einsum equation has at most {MOST_CHARACTERS:,} characters")
    if "\n" in text or "\r" in text:
        raise ValueError("an einsum equation is one line")
    arrow = text.find("->")
    end = len(text) if arrow < 0 else arrow
    operands: list[Term] = []
    start = 0
    for part in text[:end].split(","):
        operands.append(_term(text, start, start + len(part)))
        start += len(part) + 1
    output = _term(text, arrow + 2, len(text)) if arrow >= 0 else _implicit(operands, len(text))
    return Equation(text, tuple(operands), output)


def _term(text: str, start: int, end: int) -> Term:
    labels: list[Label] = []
    places: list[int] = []
    for match in _TOKEN.finditer(text, start, end):
        token, place = match[0], match.start()
        if token == DOTS and DOTS in labels:
            raise mistake(text, "`...` stands twice on one operand", place)
        if token == DOTS or _is_index(token):
            labels.append(token)
            places.append(place)
        elif token == ",":
            raise mistake(text, "an equation has one output, without commas", place)
        elif not token.isspace():
            meant = _MEANT.get(token)
            wanted = f"write `{meant}`" if meant else "a letter, or `...` for any axes"
            raise mistake(text, f"{token!r} is no index: {wanted}", place)
    return Term(tuple(labels), tuple(places), start)


def _is_index(character: str) -> bool:
    """Whether it may be an index: a letter, and beyond ASCII all that has a body.

    Packages that count indices past `Z` go through the code points in order, signs, accents and
    unassigned ones included.
    """
    if character.isascii():
        return character.isalpha()
    category = unicodedata.category(character)
    return character not in _MEANT and category[0] != "Z" and category not in ("Cc", "Cf", "Cs")


def _implicit(operands: list[Term], end: int) -> Term:
    """As einsum has it without `->`: `...`, then what occurs once, in order of the alphabet."""
    count = Counter(label for operand in operands for label in operand.labels)
    dots = (DOTS,) if count.pop(DOTS, 0) else ()
    once = [label for label, times in count.items() if times == 1]
    numbers = sorted(label for label in once if isinstance(label, int))
    letters = sorted(str(label) for label in once if not isinstance(label, int))
    labels = (*dots, *numbers, *letters)
    return Term(labels, (end,) * len(labels), end)


# ── the form with lists ──────────────────────────────────────────────────────────────────────────


def _read_lists(operands: tuple[object, ...], output: object) -> Equation:
    """The equation of several lists of indices; its text is `[0, 1], [1, 2] -> [0, 2]`."""
    text = ""
    terms: list[Term] = []
    for number, indices in enumerate(operands, start=1):
        before = text + ", " * (number > 1)
        text, term = _listed(before, indices, f"the indices of operand {number}")
        terms.append(term)
    if output is None:
        return Equation(text, tuple(terms), _implicit(terms, len(text)))
    text, term = _listed(f"{text} -> ", output, "the indices of the output")
    return Equation(text, tuple(terms), term)


def _listed(text: str, indices: object, what: str) -> tuple[str, Term]:
    """The text with a list of indices behind it, and those as a term."""
    if not isinstance(indices, Iterable) or isinstance(indices, bytes | set | frozenset | dict):
        raise TypeError(f"{what} are a list such as [0, 1], not {type(indices).__name__}")
    start = len(text)
    labels: list[Label] = []
    places: list[int] = []
    text += "["
    for count, item in enumerate(islice(indices, MOST_INDICES + 1)):
        if count == MOST_INDICES:
            raise ValueError(f"{what} are more than {counted(MOST_INDICES, 'item')}")
        label = _label(item, what)
        if label == DOTS and label in labels:
            raise ValueError(f"{what} have `...` twice")
        text += ", " * bool(labels)
        labels.append(label)
        places.append(len(text))
        text += re.sub(r"[^\w.]", "_", str(label))
    return text + "]", Term(tuple(labels), tuple(places), start)


def _label(item: object, what: str) -> Label:
    """One index of a list: a number from 0 on, a letter, a word, or `...`."""
    if isinstance(item, EllipsisType):
        return DOTS
    if isinstance(item, str) and item.strip():
        return item.strip()
    if not isinstance(item, bool) and hasattr(item, "__index__"):
        try:
            number = operator.index(item)
        except TypeError:  # arrays of several items have the method and refuse it
            number = -1
        if 0 <= number <= LARGEST_NUMBER:
            return number
        raise ValueError(f"{what} are whole numbers from 0 to {LARGEST_NUMBER:,}, words or `...`")
    raise TypeError(f"{what} are whole numbers, words or `...`, not {type(item).__name__}")
