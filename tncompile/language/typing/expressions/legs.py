"""The legs of `network { … }` as they are written, and what has to hold of them.

Every function raises `Failed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.operations import Legs
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed
from tncompile.language.typing.values import Value


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis with the names of its legs: several in a group."""

    names: tuple[tree.Name, ...]
    span: Span

    @property
    def text(self) -> str:
        names = " ".join(name.text for name in self.names)
        return f"({names})" if len(self.names) != 1 else names


@dataclass(frozen=True, slots=True)
class Written:
    """The legs of an operand or of the result; `dots` is where its `...` stands."""

    axes: tuple[Axis, ...]
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
class LeggedValue:
    """An operand: what messages call it, its value, its legs."""

    name: str
    value: Value
    legs: Written

    def axes(self) -> Iterator[tuple[Axis, Size]]:
        return zip(self.legs.axes, self.value.shape.sizes, strict=True)

    @property
    def declared(self) -> Label:
        return Label(self.value.span, f"{self.name} is {self.value.text}")


def check_names(node: tree.NetworkExpression, piped: Typed | None) -> None:
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


def read(legs: Sequence[tree.Leg], owner: str, span: Span) -> Written:
    """The legs as names; TN207 for what only networks with a name have, TN203 for a name twice."""
    dots: Span | None = None
    axes: list[Axis] = []
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
        axes.append(Axis(names, leg.span))
    return Written(tuple(axes), dots, span)


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


def check_rank(operand: LeggedValue) -> None:
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


def check_output(
    node: tree.NetworkExpression, operands: Sequence[LeggedValue], output: Written
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


def check_ends(operands: Sequence[LeggedValue], output: Written, sizes: Mapping[str, Size]) -> None:
    """TN403 for a leg of one of several operands that is summed there alone."""
    if len(operands) < 2:
        return
    legs = [(operand, name) for operand in operands for name in operand.legs.names()]
    ends = Counter(name.text for _, name in legs)
    alone = [(each, name) for each, name in legs if ends[name.text] == 1]
    summed = [(operand, name) for operand, name in alone if name.text not in output.used]
    for operand, name in summed:
        if sizes[name.text].value == 1:
            continue
        others = [other for each, other in summed if each is not operand]
        equal = [other.text for other in others if sizes[other.text] == sizes[name.text]]
        similar = closest(name.text, [other.text for other in others]) or next(iter(equal), None)
        message = f"the leg `{name.text}` is on {operand.name} alone"
        note = "of several operands, a leg joins two or is kept on the right: a slip is no sum"
        hint = f"did you mean `{similar}`?" if similar else f"put `{name.text}` on the right, or"
        if not similar:
            hint += f" sum over it before: `sum(…, dim)`, `network {{ {_summed(operand, name)} }}`"
        there = tuple(Label(other.span, f"`{other.text}` is alone, too") for other in others[:1])
        raise failure(Code.DANGLING_INDEX, message, name.span, "one end", note, hint, there)


def _summed(operand: LeggedValue, summed: tree.Name) -> str:
    """The network of one operand that sums over one of its legs."""
    dots = ["..."] if operand.legs.dots is not None else []
    kept = [name.text for name in operand.legs.names() if name.text != summed.text]
    legs = [*dots, *(axis.text for axis in operand.legs.axes)]
    return f"({', '.join(legs)}) -> ({', '.join([*dots, *kept])})"
