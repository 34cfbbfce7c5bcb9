"""`network { q(..., t, e), k(..., s, e) -> (..., t, s) }`: networks of values, without a name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.model import Part
from tncompile.language.typing.operations import Contract, Legs
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.state import Misfit, Typed, Typing, limited_sizes
from tncompile.language.typing.values import Shape, Term, Tuple, Value, higher, term_text

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

    `lookup` gives the value of an operand that has a name; the other one is the `piped` value.
    """
    legs = sum(len(operand.legs) for operand in node.operands)
    typing.budget.charge(legs + len(node.output), node.span)
    _check_names(node, piped)
    sizes = _Sizes(typing)
    operands: list[_Operand] = []
    for written in node.operands:
        argument = lookup(written) if written.name is not None else piped
        assert argument is not None
        name = "the piped value" if written.name is None else f"`{written.name.text}`"
        operand = _Operand(name, typing.as_value(argument), _read(written.legs, name, written.span))
        _check_rank(operand)
        operands.append(operand)
    # One pass over everything that is written, so that the sizes of the block are known first.
    for place in (place for operand in operands for place in operand.legs.names()):
        sizes.take(place, known)
    output = _read(node.output, "the result", node.span)
    for place in output.names():
        sizes.take(place, known)
    _check_output(node, operands, output)
    with limited_sizes(node.span):
        sizes.solve(operands)
        sizes.check(operands)
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


# ── what is written ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis with the names of its legs: several in a group."""

    names: tuple[tree.Name, ...]
    span: Span

    @property
    def text(self) -> str:
        names = " ".join(name.text for name in self.names)
        return f"({names})" if len(self.names) != 1 else names


@dataclass(frozen=True, slots=True)
class _Written:
    """The legs of an operand or of the result; `dots` is where its `...` stands."""

    axes: tuple[_Axis, ...]
    dots: Span | None
    span: Span

    def names(self) -> Iterator[tree.Name]:
        return (name for axis in self.axes for name in axis.names)

    @property
    def used(self) -> frozenset[str]:
        return frozenset(name.text for name in self.names())

    @property
    def plain(self) -> Legs:
        axes = tuple(tuple(name.text for name in axis.names) for axis in self.axes)
        return Legs(axes, self.dots is not None)


@dataclass(frozen=True, slots=True)
class _Operand:
    """An operand: what messages call it, its value, its legs."""

    name: str
    value: Value
    legs: _Written

    def axes(self) -> Iterator[tuple[_Axis, Size]]:
        return zip(self.legs.axes, self.value.shape.sizes, strict=True)

    @property
    def declared(self) -> Label:
        return Label(self.value.span, f"{self.name} is {self.value.text}")


def _check_names(node: tree.NetworkExpression, piped: Typed | None) -> None:
    """TN208: as a stage, one operand and no other is without a name."""
    unnamed = [operand for operand in node.operands if operand.name is None]
    due = 0 if piped is None else 1
    if len(unnamed) == due:
        return
    note = "as a stage of a pipe, the one operand without a name is the piped value"
    if len(unnamed) > due:
        message = "an operand without a name" if not due else "two operands without a name"
        span, label = unnamed[due].span, "which value is this?"
        hint = "write a value in front of the legs: `x(…)`"
    else:
        message, span = "no operand is the piped value", node.operands[0].span
        label, hint = "every operand has a name", "leave out the name of one operand"
    raise failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)


def _read(legs: Sequence[tree.Leg], owner: str, span: Span) -> _Written:
    """The legs as names; TN207 for what only networks with a name have, TN203 for a name twice."""
    dots: Span | None = None
    axes: list[_Axis] = []
    seen: dict[str, Span] = {}
    for leg in legs:
        names: tuple[tree.Name, ...]
        match leg:
            case tree.Dots():
                dots = leg.span
                continue
            case tree.IndexLeg():
                names = (_name(leg),)
            case tree.GroupLeg(inner, onehot, width):
                if onehot:
                    raise _misplaced("`onehot`", leg.span)
                if width is not None:
                    raise _misplaced("`as`", width.span)
                names = tuple(map(_name, inner))
            case tree.Subscript():
                raise _misplaced("`p in a..b`", leg.span)
            case _:
                raise _misplaced("an expression as a leg", leg.span)
        for name in names:
            if name.text in seen:
                message, label = f"`{name.text}` is twice on {owner}", "again here"
                note = "a trace or a diagonal of one tensor is not a network: a leg joins two"
                first = Label(seen[name.text], "first here")
                hint = "use another name"
                raise failure(Code.REPEATED_LEG, message, name.span, label, note, hint, first)
            seen[name.text] = name.span
        axes.append(_Axis(names, leg.span))
    return _Written(tuple(axes), dots, span)


def _name(leg: tree.IndexLeg) -> tree.Name:
    if leg.subscripts:
        raise _misplaced("a member of a family as a leg", leg.span)
    if leg.face is not None:
        raise _misplaced("a face of a window", leg.span)
    if leg.optional:
        raise _misplaced("`?`", leg.span)
    return leg.name


def _misplaced(what: str, span: Span) -> Failed:
    message, label = f"{what} is for networks with a name", "not here"
    note = "the legs of `network { … }` are `...`, names, and groups of names: `(h e)`"
    hint = "use a plain name, or declare a `network` and make it a part"
    return failure(Code.MISPLACED, message, span, label, note, hint)


# ── what has to fit ───────────────────────────────────────────────────────────────────────────────


def _check_rank(operand: _Operand) -> None:
    """TN601 where the legs are not the axes of the value, one by one."""
    legs, shape = operand.legs, operand.value.shape
    count, due = len(legs.axes), len(shape.sizes)
    note = "every axis of a value has its leg, `...` exactly where the value has it"
    if shape.dots != (legs.dots is not None):
        if shape.dots:
            label, hint = "`...` is missing", "write `...` in front of the legs"
        else:
            label, hint = "there are no such axes", "leave out `...`"
        span = legs.dots or (legs.axes[0].span if legs.axes else legs.span)
    elif count != due:
        label = f"{'one leg' if count == 1 else f'{count} legs'} for {due or 'no'} axes"
        span = legs.axes[min(due, count - 1)].span if count else legs.span
        hint = "write a leg for each axis; a group `(a b)` is one axis"
    else:
        return
    written = ", ".join(["..."] * (legs.dots is not None) + [axis.text for axis in legs.axes])
    message = f"{operand.name} is {shape}; its legs are ({written})"
    raise failure(Code.MODEL_SHAPES, message, span, label, note, hint, operand.declared)


def _check_output(
    node: tree.NetworkExpression, operands: Sequence[_Operand], output: _Written
) -> None:
    """TN404 for a leg on the right only, TN405 for `...` on one side only."""
    carried = frozenset[str]().union(*(operand.legs.used for operand in operands))
    for name in output.names():
        if name.text not in carried:
            message = f"no operand has the leg `{name.text}`"
            note = "a leg of the result comes from an operand; nothing is repeated"
            hint = "leave it out; for more axes use `expand` or a product with `ones((…))`"
            label = "on the right only"
            raise failure(Code.OUTPUT_NOT_CARRIED, message, name.span, label, note, hint)
    dotted = [operand.legs.dots for operand in operands if operand.legs.dots is not None]
    note = "the leading axes are never summed"
    if dotted and output.dots is None:
        message, label = "`...` is missing on the right", "these axes would be lost"
        hint = "write `...` in front of the legs on the right"
        raise failure(Code.BATCH_MISSING, message, dotted[0], label, note, hint)
    if output.dots is not None and not dotted:
        message, label = "no operand has `...`", "on the right only"
        first = Label(node.operands[0].span, "the operands have no leading axes")
        hint = "leave it out"
        raise failure(Code.BATCH_MISSING, message, output.dots, label, note, hint, first)


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

    def axis(self, axis: _Axis) -> Size:
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

    def solve(self, operands: Sequence[_Operand]) -> None:
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

    def _quotient(self, operand: _Operand, axis: _Axis, size: Size) -> Size:
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
        hint = "a number that divides the axis is needed"
        misfit = Misfit(
            message, axis.span, label, (*places[:2], operand.declared), note=note, hint=hint
        )
        divisor = rest.value
        if not divisor:
            raise failure(
                Code.MODEL_SHAPES, message, axis.span, label, note, hint, misfit.secondary
            )
        floor = size // divisor
        self.typing.same(size, floor * rest, misfit)
        return floor

    def check(self, operands: Sequence[_Operand]) -> None:
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
