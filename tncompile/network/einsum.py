"""The text of a network from an einsum equation, for people who come from there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics import CompileError
from tncompile.language.excerpt import Line
from tncompile.language.parsing import parse_target

Shape = Sequence[int | None]
"""The sizes of an operand's letters, in order; None for a batch axis, sized at run time."""

INDENT = "    "


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of an equation: its letters, where each stands in the text, and its sizes."""

    letters: str
    places: tuple[int, ...]
    start: int
    dots: int | None  # where `...` stands
    sizes: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Equation:
    """A parsed equation: operands in order, and the output."""

    text: str
    operands: tuple[Operand, ...]
    output: Operand

    def error(self, message: str, place: int) -> ValueError:
        """The message with the equation and a caret below `place`."""
        line = Line(self.text, cut=False)
        column, _ = line.columns(place, place + 1)
        return ValueError(f"{message}\n{INDENT}{line.shown}\n{INDENT}{' ' * column}^")


def from_einsum(equation: str, *shapes: Shape, inputs: int = 1, name: str = "Einsum") -> str:
    """The `.tn` text of a network that computes an einsum with trainable operands.

    The first `inputs` operands are arguments of `forward`, the others are trained. A shape gives
    the sizes of an operand's letters; None in an input's shape is a batch axis, sized at run time.
    `...` may lead inputs and the output. `ValueError`, with a caret, for what is no such network.

    >>> print(from_einsum("bi,ir,ro->bo", (None, 8), (8, 2), (2, 4)), end="")
    \"""The einsum `bi,ir,ro->bo`.\"""
    network Einsum() {
      batch  b
      index  i = 8, o = 4
      bond   r = 2
      input  x(b, i)
      tensor W0(i, r)
      tensor W1(r, o)
      output y(b, o)
    }
    """
    if not isinstance(equation, str):
        raise TypeError(f"an einsum equation is a str, not {type(equation).__name__}")
    if not isinstance(name, str):
        raise TypeError(f"the name of a network is a str, not {type(name).__name__}")
    if not isinstance(inputs, int):
        raise TypeError(f"inputs is an int, not {type(inputs).__name__}")
    if not _is_name(name):
        raise ValueError(f"{name!r} is no name for a network: letters, digits and `_`, no keyword")
    parsed = _with_sizes(_parse(equation), shapes)
    if not 0 <= inputs <= len(parsed.operands):
        raise ValueError(
            f"inputs = {inputs}, but {equation!r} has {len(parsed.operands)} operands: the first"
            " `inputs` of them are arguments, the rest are trained"
        )
    _check_letters(parsed)
    _check_dots(parsed, inputs)
    sizes = _letter_sizes(parsed)
    _check_batch(parsed, sizes, inputs)
    return _write(parsed, sizes, inputs, name)


def _is_name(name: str) -> bool:
    """Whether a network may be called so: an identifier that is not reserved."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        return False
    try:
        parse_target(name)
    except CompileError:
        return False
    return True


# ── reading ────────────────────────────────────────────────────────────────────────────────────


def _parse(text: str) -> Equation:
    """Operands and output with the place of every letter; spaces mean nothing."""
    blank = Equation(text, (), Operand("", (), 0, None))
    if "\n" in text or "\r" in text:
        raise ValueError("an einsum equation is one line")
    arrow = text.find("->")
    end = len(text) if arrow < 0 else arrow
    operands: list[Operand] = []
    start = 0
    for part in text[:end].split(","):
        operands.append(_operand(blank, start, start + len(part)))
        start += len(part) + 1
    if arrow >= 0:
        output = _operand(blank, arrow + 2, len(text))
    else:
        output = _implicit_output(operands, len(text))
    return Equation(text, tuple(operands), output)


def _operand(equation: Equation, start: int, end: int) -> Operand:
    letters: list[str] = []
    places: list[int] = []
    dots: int | None = None
    place = start
    while place < end:
        character = equation.text[place]
        if equation.text.startswith("...", place) and place + 3 <= end:
            if dots is not None:
                raise equation.error("`...` stands twice on one operand", place)
            if letters:
                raise equation.error("`...` must stand first, before all letters", place)
            dots = place
            place += 3
            continue
        if re.fullmatch("[A-Za-z]", character):
            letters.append(character)
            places.append(place)
        elif character == ",":
            raise equation.error("an equation has one output, without commas", place)
        elif not character.isspace():
            raise equation.error(
                f"{character!r} is no index: a letter of a-z or A-Z, or `...` for batch axes", place
            )
        place += 1
    return Operand("".join(letters), tuple(places), start, dots)


def _implicit_output(operands: list[Operand], end: int) -> Operand:
    """As einsum has it without `->`: the letters that occur once, in alphabetical order."""
    written = "".join(operand.letters for operand in operands)
    once = sorted(letter for letter in dict.fromkeys(written) if written.count(letter) == 1)
    dots = next((o.dots for o in operands if o.dots is not None), None)
    return Operand("".join(once), (end,) * len(once), end, dots)


def _with_sizes(equation: Equation, shapes: tuple[Shape, ...]) -> Equation:
    """The equation with a size for every letter of every operand."""
    count = len(equation.operands)
    if len(shapes) != count:
        place = equation.operands[min(len(shapes), count - 1)].start
        raise equation.error(
            f"{_count(count, 'operand')}, but {_count(len(shapes), 'shape')}", place
        )
    operands: list[Operand] = []
    for number, (operand, shape) in enumerate(zip(equation.operands, shapes, strict=True), start=1):
        if isinstance(shape, str) or not isinstance(shape, Iterable):
            raise equation.error(
                f"the shape of operand {number} is a tuple of sizes, not {shape!r}", operand.start
            )
        sizes = tuple(shape)
        if len(sizes) != len(operand.letters):
            hint = " (a shape leaves `...` out)" if operand.dots is not None else ""
            raise equation.error(
                f"operand {number} has {_count(len(operand.letters), 'letter')}, its shape"
                f" {sizes} has {_count(len(sizes), 'size')}{hint}",
                operand.start,
            )
        for size, place in zip(sizes, operand.places, strict=True):
            whole = isinstance(size, int) and not isinstance(size, bool) and size >= 1
            if size is not None and not whole:
                raise equation.error(f"{size!r} is no size: a positive integer or None", place)
        operands.append(
            Operand(operand.letters, operand.places, operand.start, operand.dots, sizes)
        )
    return Equation(equation.text, tuple(operands), equation.output)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# ── checking ───────────────────────────────────────────────────────────────────────────────────


def _check_letters(equation: Equation) -> None:
    """No letter twice on an operand or the output, none on the output only."""
    for number, operand in enumerate(equation.operands, start=1):
        if not operand.letters:
            raise equation.error(f"operand {number} has no letters", operand.start)
        place = _repeated(operand)
        if place is not None:
            raise equation.error(
                f"`{equation.text[place]}` stands twice on operand {number}, a diagonal, which a"
                " network has not: use two letters and add an operand, an identity matrix, that"
                " joins them",
                place,
            )
    place = _repeated(equation.output)
    if place is not None:
        raise equation.error("a letter stands twice on the output", place)
    known = {letter for operand in equation.operands for letter in operand.letters}
    for letter, place in zip(equation.output.letters, equation.output.places, strict=True):
        if letter not in known:
            raise equation.error(f"`{letter}` is on the output, but on no operand", place)


def _repeated(operand: Operand) -> int | None:
    """Where a letter stands that has stood before."""
    for k, letter in enumerate(operand.letters):
        if letter in operand.letters[:k]:
            return operand.places[k]
    return None


def _check_dots(equation: Equation, inputs: int) -> None:
    """`...` on the output and on inputs, or nowhere."""
    for number, operand in enumerate(equation.operands, start=1):
        if operand.dots is None:
            continue
        if number > inputs:
            raise equation.error(
                f"`...` stands on operand {number}, which is trained: only inputs have batch axes",
                operand.dots,
            )
        if equation.output.dots is None:
            raise equation.error("`...` must stand on the output, too", operand.dots)
    if equation.output.dots is not None and all(o.dots is None for o in equation.operands):
        raise equation.error("`...` stands on the output, but on no input", equation.output.dots)


def _letter_sizes(equation: Equation) -> dict[str, int | None]:
    """Letter -> size, in order of first appearance; all operands agree."""
    found: dict[str, tuple[int | None, int]] = {}
    for number, operand in enumerate(equation.operands, start=1):
        for letter, size, place in zip(operand.letters, operand.sizes, operand.places, strict=True):
            before, where = found.setdefault(letter, (size, number))
            if before != size:
                raise equation.error(
                    f"`{letter}` is {before} on operand {where} and {size} on operand {number}",
                    place,
                )
    return {letter: size for letter, (size, _) in found.items()}


def _check_batch(equation: Equation, sizes: dict[str, int | None], inputs: int) -> None:
    """Letters without a size are on inputs and the output only."""
    for number, operand in enumerate(equation.operands, start=1):
        for letter, place in zip(operand.letters, operand.places, strict=True):
            if sizes[letter] is not None:
                continue
            if number > inputs:
                raise equation.error(
                    f"`{letter}` has no size on operand {number}, which is trained: give its size",
                    place,
                )
            if letter not in equation.output.letters:
                raise equation.error(
                    f"`{letter}` has no size, so it is a batch axis, and is missing on the output:"
                    " give its size to sum over it",
                    place,
                )


# ── writing ────────────────────────────────────────────────────────────────────────────────────


def _write(equation: Equation, sizes: dict[str, int | None], inputs: int, name: str) -> str:
    trained = "".join(operand.letters for operand in equation.operands[inputs:])
    seen = {*equation.output.letters}.union(*(o.letters for o in equation.operands[:inputs]))
    everywhere = equation.output.letters + "".join(o.letters for o in equation.operands)
    alone = [letter for letter in sizes if everywhere.count(letter) == 1]
    kinds: dict[str, list[str]] = {"batch": [], "index": [], "bond": [], "hyper": []}
    for letter, size in sizes.items():
        if size is None:
            kinds["batch"].append(letter)
        elif letter in seen:
            kinds["index"].append(f"{letter} = {size}")
        else:
            # A letter that is summed on one operand alone gets a second end, a vector of ones.
            ends = trained.count(letter) + (letter in alone)
            kinds["bond" if ends == 2 else "hyper"].append(f"{letter} = {size}")
    lines = [f'"""The einsum `{equation.text.strip()}`."""', f"network {name}() {{"]
    lines += [f"  {kind:6} {', '.join(items)}" for kind, items in kinds.items() if items]
    for number, operand in enumerate(equation.operands):
        kind = "input" if number < inputs else "tensor"
        stem = _input_name(number, inputs, sizes) if kind == "input" else f"W{number - inputs}"
        lines.append(f"  {kind:6} {stem}({_legs(operand)})")
    for letter in alone:
        lines.append(f"  tensor sum_{letter}({letter}) init ones frozen  # nothing else carries it")
    result = "y" if "y" not in sizes else "result"
    lines.append(f"  output {result}({_legs(equation.output)})")
    return "\n".join([*lines, "}"]) + "\n"


def _input_name(number: int, inputs: int, sizes: dict[str, int | None]) -> str:
    """`x` where there is one input and no index of that name, else `x0`, `x1`."""
    return "x" if inputs == 1 and "x" not in sizes else f"x{number}"


def _legs(operand: Operand) -> str:
    dots = ["..."] if operand.dots is not None else []
    return ", ".join([*dots, *operand.letters])
