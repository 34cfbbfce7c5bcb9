"""Equations as people write them: `"ij,jk->ik"`, or shapes, each followed by its indices."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from numbers import Number
from types import EllipsisType

from tncompile.network.einsum.equation import DOTS, Equation, Label, Term, counted, mistake

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

_ATOM = re.compile("[A-Za-z]")


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
    place = start
    while place < end:
        character = text[place]
        if text.startswith(DOTS, place) and place + len(DOTS) <= end:
            if DOTS in labels:
                raise mistake(text, "`...` stands twice on one operand", place)
            labels.append(DOTS)
            places.append(place)
            place += len(DOTS)
            continue
        if _is_index(character):
            labels.append(character)
            places.append(place)
        elif character == ",":
            raise mistake(text, "an equation has one output, without commas", place)
        elif not character.isspace():
            meant = _MEANT.get(character)
            wanted = f"write `{meant}`" if meant else "a letter, or `...` for any axes"
            raise mistake(text, f"{character!r} is no index: {wanted}", place)
        place += 1
    return Term(tuple(labels), tuple(places), start)


def _is_index(character: str) -> bool:
    """Whether it may be an index: a letter, and beyond ASCII all that has a body.

    Packages that count indices past `Z` go through the code points in order, signs, accents and
    unassigned ones included.
    """
    if character.isascii():
        return _ATOM.fullmatch(character) is not None
    category = unicodedata.category(character)
    return character not in _MEANT and category[0] != "Z" and category not in ("Cc", "Cf", "Cs")


def _implicit(operands: list[Term], end: int) -> Term:
    """As einsum has it without `->`: `...`, then what occurs once, in order of the alphabet."""
    count = Counter(label for operand in operands for label in operand.labels)
    dots: list[Label] = [DOTS] if count.pop(DOTS, 0) else []
    once = sorted((label for label, times in count.items() if times == 1), key=_order)
    labels = (*dots, *once)
    return Term(labels, (end,) * len(labels), end)


def _order(label: Label) -> tuple[int, str]:
    """Numbers in their order, then words and letters in that of the alphabet."""
    return (label, "") if isinstance(label, int) else (LARGEST_NUMBER + 1, str(label))


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
