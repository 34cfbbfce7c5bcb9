"""`network { q(..., t, e), k(..., s, e) -> (..., t, s) }`: networks of values, without a name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax import tree
from tncompile.language.typing.expressions.legs import (
    Axis,
    LeggedValue,
    check_ends,
    check_names,
    check_output,
    check_rank,
    read,
)
from tncompile.language.typing.model import Part
from tncompile.language.typing.operations import Contract
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.state import Misfit, Typed, Typing, limited_sizes
from tncompile.language.typing.values import Shape, Term, Tuple, Value, higher, term_text

_MOST_TRIED = 100_000
"""Largest axis whose divisors are looked for, in a hint."""

Known = Callable[[str], Term | Part | None]
"""What the name of a leg stands for in the block; None where it is a name of the legs alone."""


def contract(
    typing: Typing,
    node: tree.NetworkExpression,
    lookup: Callable[[tree.Operand], Typed],
    known: Known,
    piped: Typed | None,
) -> Value:
    """The sum over every leg that is not on the right of the product of the operands.

    Of several operands, a leg is on two or on the right: a slip is never a silent sum.
    `lookup` gives the value of an operand that has a name; the other one is the `piped` value.
    """
    legs = sum(len(operand.legs) for operand in node.operands)
    typing.budget.charge(legs + len(node.output), node.span)
    check_names(node, piped)
    sizes = _Sizes(typing)
    operands: list[LeggedValue] = []
    for written in node.operands:
        argument = lookup(written) if written.name is not None else piped
        assert argument is not None
        name = "the piped value" if written.name is None else f"`{written.name.text}`"
        operand = LeggedValue(
            name, typing.as_value(argument), read(written.legs, name, written.span)
        )
        check_rank(operand)
        operands.append(operand)
    # One pass over everything that is written, so that the sizes of the block are known first.
    for place in (place for operand in operands for place in operand.legs.names()):
        sizes.take(place, known)
    output = read(node.output, "the result", node.span)
    for place in output.names():
        sizes.take(place, known)
    check_output(node, operands, output)
    with limited_sizes(node.span):
        sizes.solve(operands)
        sizes.check(operands)
        check_ends(operands, output, sizes.known)
        result = tuple(map(sizes.axis, output.axes))
    names = {name for operand in operands for name in operand.legs.used}
    summed = not names <= output.used
    kinds = [operand.value.kind for operand in operands]
    relabeled = len(operands) == 1 and not summed
    operation = Contract(
        tuple(operand.value for operand in operands),
        legs=tuple(operand.legs.plain for operand in operands),
        output=output.plain,
        sizes={name: size for name, size in sizes.known.items() if name in names},
        span=node.span,
        turns=typing.turns,
    )
    shape = Shape(result, output.dots is not None)
    constant = all(operand.value.constant for operand in operands)
    kind = kinds[0] if relabeled else higher("float", *kinds)
    return typing.value(operation, kind, shape, constant=constant)


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────


def _divisors(size: Size, rest: Size) -> str | None:
    """A hint with the numbers next to `rest` that divide an axis."""
    if size.value is None or rest.value is None or size.value > _MOST_TRIED:
        return None
    found = [n for n in range(1, size.value + 1) if size.value % n == 0]
    near = [max(n for n in found if n <= rest.value), *(n for n in found if n > rest.value)][:2]
    return f"{' or '.join(map(str, near))} divides {size}"


def _declaration(term: Part | Value | Tuple) -> tuple[Label, ...]:
    match term:
        case Part():
            return (Label(term.declared, "declared here"),)
        case Value():
            return (Label(term.span, "this value"),)
    return ()


@dataclass(slots=True)
class _Sizes:
    """The sizes of the legs so far, by name; `places` is where they come from."""

    typing: Typing
    known: dict[str, Size] = field(default_factory=dict)
    places: dict[str, tuple[Label, ...]] = field(default_factory=dict)

    def axis(self, axis: Axis) -> Size:
        """The size of an axis by its legs, all of which are known."""
        if len(axis.names) == 1:
            return self.known[axis.names[0].text]
        return product(self.known[name.text] for name in axis.names)

    def take(self, name: tree.Name, known: Known) -> None:
        """The size of a leg that is a number or a size of the block; TN201 where it is a value."""
        term = known(name.text)
        text, span = name.text, name.span
        match term:
            case None:
                return
            case Size():
                self.known[text] = term
                self.places[text] = self.typing.declared(term)
            case Part() | Value() | Tuple():
                what = "a part" if isinstance(term, Part) else term_text(term)
                message = f"`{text}` is {what}, not a leg"
                note = "legs are names of their own, or numbers and run-time sizes of the block"
                hint = "take another name for the leg"
                there = _declaration(term)
                label = "used as a leg"
                raise failure(Code.UNKNOWN_NAME, message, span, label, note, hint, there)
            case int() if not isinstance(term, bool):
                if term < 1:
                    message, note = f"`{text}` is {term}", "a leg has at least one entry"
                    hint = "take another name for the leg, or give it a size of at least 1"
                    raise failure(Code.BAD_SIZE, message, span, "this size", note, hint)
                self.known[text] = Size.number(term)
                self.places[text] = ()
            case _:
                message = f"`{text}` is {term_text(term)}, which is no size"
                note = "a leg whose name the block declares has that size"
                hint = "take another name for the leg"
                raise failure(Code.WRONG_TYPE, message, span, "no integer", note, hint)

    def solve(self, operands: Sequence[LeggedValue]) -> None:
        """Local sizes: from an axis that a leg has alone, then from groups with one unknown."""
        for operand in operands:
            for axis, size in operand.axes():
                if len(axis.names) == 1:
                    self._set(axis.names[0], size)
        groups = [
            (operand, axis, size)
            for operand in operands
            for axis, size in operand.axes()
            if len(axis.names) > 1
        ]
        unknown = [
            {name.text: name for name in axis.names if name.text not in self.known}
            for _, axis, _ in groups
        ]
        carrying: dict[str, list[int]] = {}
        for number, names in enumerate(unknown):
            for text in names:
                carrying.setdefault(text, []).append(number)
        ready = deque(number for number, names in enumerate(unknown) if len(names) == 1)
        while ready:
            number = ready.popleft()
            for name in list(unknown[number].values()):
                self._set(name, self._quotient(*groups[number]))
                for other in carrying[name.text]:
                    del unknown[other][name.text]
                    if len(unknown[other]) == 1:
                        ready.append(other)
        for name in (name for operand in operands for name in operand.legs.names()):
            if name.text not in self.known:
                message = f"the size of the leg `{name.text}` is unknown"
                note = "a leg has its size from the block, from an axis that it has alone, or "
                note += "from a group in which it is the only one unknown"
                hint = f"declare it: `let {name.text} = …`"
                raise failure(Code.UNKNOWN_LEG_SIZE, message, name.span, "no size", note, hint)

    def _set(self, name: tree.Name, size: Size) -> None:
        if name.text not in self.known:
            self.known[name.text] = size
            self.places[name.text] = (Label(name.span, f"`{name.text}` is {size} here"),)

    def _quotient(self, operand: LeggedValue, axis: Axis, size: Size) -> Size:
        """The axis divided by the legs that are known; the floor of it where that is not sure."""
        others = [name for name in axis.names if name.text in self.known]
        rest = product(self.known[name.text] for name in others)
        exact = self.typing.facts.quotient(size, rest)
        if exact is not None:
            return exact
        known = ", ".join(f"{name.text} = {self.known[name.text]}" for name in others)
        places = tuple(label for name in others for label in self.places[name.text])
        message = f"`{axis.text}` does not divide an axis of {size}: {known}"
        note = "a group is one axis: the product of its legs"
        label = f"{size} is no multiple of {rest}"
        hint = _divisors(size, rest) or "a number that divides the axis is needed"
        misfit = Misfit(
            message, axis.span, label, (*places[:2], operand.declared), note=note, hint=hint
        )
        divisor = rest.value
        if not divisor:
            raise failure(
                Code.MODEL_SHAPES, message, axis.span, label, note, hint, misfit.secondary
            )
        floor = size // divisor
        try:
            self.typing.same(size, floor * rest, misfit)
        except Failed:
            if (size, rest) in self.typing.indivisible:  # queries, keys and values: one mistake
                raise Failed(None) from None
            self.typing.indivisible.add((size, rest))
            raise
        return floor

    def check(self, operands: Sequence[LeggedValue]) -> None:
        """TN601 where an axis is not as long as its legs say."""
        for operand in operands:
            for axis, size in operand.axes():
                expected = self.axis(axis)
                if size == expected:
                    continue
                shape = operand.value.shape
                due = Shape(tuple(map(self.axis, operand.legs.axes)), shape.dots)
                message = f"{operand.name} is {shape}, by its legs {due}: "
                message += f"the axis `{axis.text}` is {size}, not {expected}"
                places = tuple(
                    place for name in axis.names for place in self.places[name.text]
                ) or (operand.declared,)
                label = f"this axis is {size}, `{axis.text}` is {expected}"
                note = "a leg has one size wherever it is written"
                hint = None
                if size.value is not None or expected.value is not None:
                    hint = "take a name of its own for each size; a group `(a b)` splits an axis"
                misfit = Misfit(message, axis.span, label, places, note, hint)
                self.typing.same(size, expected, misfit)
