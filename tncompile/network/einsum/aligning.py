"""Operands brought together: what `...` covers, which axes broadcast, which are diagonals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from tncompile.network.einsum.reading import DOTS, DotsAxis, Equation, Label, Term, named


@dataclass(frozen=True, slots=True)
class Single:
    """An axis of size 1 whose index is longer elsewhere: the operand is constant along it.

    `number` counts those of an operand from 1.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Copy:
    """An index at its second place on an operand or later: `number` counts the places from 1."""

    label: Label
    number: int


Axis = Label | Copy | Single
"""An axis of an operand as the network has it; no `Copy` and no `Label` twice on one operand."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Operands and output, axis by axis, with `sizes` in order of first appearance.

    `DOTS` is left where `...` stands for any number of leading axes at run time. Each of `copies`
    equals its index: an identity matrix joins the two.
    """

    operands: tuple[tuple[Axis, ...], ...]
    output: tuple[Axis, ...]
    sizes: dict[Axis, int | None]
    copies: tuple[Copy, ...]


def align(equation: Equation, inputs: int) -> Aligned:
    """What each axis is, where sizes agree as einsum wants them to."""
    equation = _without_dots(equation, inputs)
    output = equation.output
    known = {label for term in equation.operands for label in term.labels}
    for label, place in zip(output.labels, output.places, strict=True):
        if label not in known:
            raise equation.error(f"{named(label)} is on the output, but on no operand", place)
    sizes = _common_sizes(equation)
    _check_batch(equation, sizes, inputs)
    operands = tuple(_axes(term, sizes) for term in equation.operands)
    result = _axes(replace(output, sizes=tuple(map(sizes.__getitem__, output.labels))), sizes)
    lengths: dict[Axis, int | None] = {}
    for axis in (axis for axes in (*operands, result) for axis in axes):
        if axis != DOTS and not isinstance(axis, Single):
            lengths[axis] = sizes[axis.label if isinstance(axis, Copy) else axis]
    rank = {label: number for number, label in enumerate(sizes)}
    copies = [axis for axis in lengths if isinstance(axis, Copy)]
    copies.sort(key=lambda copy: (rank[copy.label], copy.number))
    return Aligned(operands, result, lengths, tuple(copies))


def _without_dots(equation: Equation, inputs: int) -> Equation:
    """The equation with an index for each axis that `...` covers.

    Where `...` may be any number of axes, it stays on inputs and the output, without a size: where
    it leads these, and covers nothing on any other operand.
    """
    pairs = list(enumerate(equation.operands))
    leading = {k for k, term in pairs[:inputs] if term.labels[:1] == (DOTS,)}
    at_run_time = (
        bool(leading)
        and equation.output.labels[:1] == (DOTS,)
        and all(len(term.sizes) == term.legs for k, term in pairs if k not in leading)
    )
    stays = leading if at_run_time else set()
    covered = [len(term.sizes) - term.legs for _, term in pairs]
    operands = tuple(
        replace(term, sizes=(None, *term.sizes[covered[k] :]))
        if k in stays
        else _expanded(term, covered[k])
        for k, term in pairs
    )
    most = max((count for k, count in enumerate(covered) if k not in stays), default=0)
    output = equation.output if at_run_time else _expanded(equation.output, most)
    return replace(equation, operands=operands, output=output)


def _expanded(term: Term, covered: int) -> Term:
    if DOTS not in term.labels:
        return term
    at = term.labels.index(DOTS)
    axes = tuple(DotsAxis(number) for number in reversed(range(covered)))
    labels = (*term.labels[:at], *axes, *term.labels[at + 1 :])
    places = (*term.places[:at], *[term.places[at]] * covered, *term.places[at + 1 :])
    return replace(term, labels=labels, places=places)


def _common_sizes(equation: Equation) -> dict[Label, int | None]:
    """The size of each index, in order of first appearance; a size of 1 goes with any other."""
    common: dict[Label, tuple[int | None, int]] = {}
    for number, term in enumerate(equation.operands, start=1):
        own: dict[Label, int | None] = {}
        for label, size, place in zip(term.labels, term.sizes, term.places, strict=True):
            if own.setdefault(label, size) != size:
                both = f"is {own[label]} and {size} on operand {number}"
                message = f"{named(label)} {both}: both places of a diagonal have one size"
                raise equation.error(message, place)
            before, where = common.setdefault(label, (size, number))
            if before == 1:
                common[label] = size, number
            elif size not in (before, 1):
                known = size if before is None else before
                hint = f": give {known} in both places" if None in (before, size) else ""
                both = f"is {before} on operand {where} and {size} on operand {number}"
                raise equation.error(f"{named(label)} {both}{hint}", place)
    return {label: size for label, (size, _) in common.items()}


def _check_batch(equation: Equation, sizes: dict[Label, int | None], inputs: int) -> None:
    """What has no size is on inputs and the output, once on each."""
    on_output = equation.output.labels
    for number, term in enumerate(equation.operands, start=1):
        for label, size, place in zip(term.labels, term.sizes, term.places, strict=True):
            if size is not None or label == DOTS:
                continue
            if number > inputs:
                what = f"has no size on operand {number}, which is trained: give its size"
            elif label not in on_output:
                what = "has no size, so it is a batch axis, and is missing on the output"
                what += ": give its size to sum over it"
            elif term.labels.count(label) > 1:
                what = f"has no size and stands twice on operand {number}"
                what += ": give its size to take a diagonal"
            else:
                continue
            raise equation.error(f"{named(label)} {what}", place)
    for label, place in zip(on_output, equation.output.places, strict=True):
        if label != DOTS and sizes[label] is None and on_output.count(label) > 1:
            what = "has no size and stands twice on the output: give its size to fill a diagonal"
            raise equation.error(f"{named(label)} {what}", place)


def _axes(term: Term, sizes: dict[Label, int | None]) -> tuple[Axis, ...]:
    """The axes of one term: copies of an index at later places, `Single` where it broadcasts."""
    seen: Counter[Label] = Counter()
    axes: list[Axis] = []
    singles = 0
    for label, size in zip(term.labels, term.sizes, strict=True):
        seen[label] += 1
        if label == DOTS:
            axes.append(DOTS)
        elif size == 1 and (sizes[label] != 1 or seen[label] > 1):
            singles += 1
            axes.append(Single(singles))
        else:
            axes.append(label if seen[label] == 1 else Copy(label, seen[label]))
    return tuple(axes)
