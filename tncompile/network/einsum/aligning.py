"""Operands brought together: what `...` covers, which axes broadcast, which are diagonals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tncompile.network.einsum.equation import DOTS, DotsAxis, Equation, Label, Term, named
from tncompile.network.einsum.shapes import Sizes


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


def align(equation: Equation, shapes: tuple[Sizes, ...], inputs: int) -> Aligned:
    """What each axis is, where sizes agree as einsum wants them to."""
    terms, output, shapes = _without_dots(equation, shapes, inputs)
    _check_output(equation, terms, output)
    sizes = _common_sizes(equation, terms, shapes)
    _check_batch(equation, terms, shapes, output, sizes, inputs)
    operands = tuple(
        _axes(term.labels, own, sizes) for term, own in zip(terms, shapes, strict=True)
    )
    result = _axes(output.labels, tuple(sizes.get(label) for label in output.labels), sizes)
    lengths: dict[Axis, int | None] = {}
    for axis in (axis for axes in (*operands, result) for axis in axes):
        if axis != DOTS and not isinstance(axis, Single):
            lengths[axis] = sizes[axis.label if isinstance(axis, Copy) else axis]
    rank = {label: number for number, label in enumerate(sizes)}
    copies = sorted(
        (axis for axis in lengths if isinstance(axis, Copy)),
        key=lambda copy: (rank[copy.label], copy.number),
    )
    return Aligned(operands, result, lengths, tuple(copies))


# ── dots ─────────────────────────────────────────────────────────────────────────────────────────


def _without_dots(
    equation: Equation, shapes: tuple[Sizes, ...], inputs: int
) -> tuple[tuple[Term, ...], Term, tuple[Sizes, ...]]:
    """The terms with an index for each axis that `...` covers, and the sizes of their axes.

    Where `...` only leads, it stays on inputs and the output, without sizes.
    """
    at_run_time = _at_run_time(equation, shapes, inputs)
    terms: list[Term] = []
    known: list[Sizes] = []
    most = 0
    for number, (operand, sizes) in enumerate(zip(equation.operands, shapes, strict=True)):
        covered = len(sizes) - operand.legs
        if at_run_time and number < inputs and operand.labels[:1] == (DOTS,):
            terms.append(operand)
            known.append((None, *sizes[covered:]))
            continue
        most = max(most, covered)
        terms.append(_expanded(operand, covered))
        known.append(sizes)
    output = equation.output
    return tuple(terms), output if at_run_time else _expanded(output, most), tuple(known)


def _at_run_time(equation: Equation, shapes: tuple[Sizes, ...], inputs: int) -> bool:
    """Whether `...` may be any number of axes: it leads inputs and the output, nothing else."""
    leads = False
    for number, (operand, sizes) in enumerate(zip(equation.operands, shapes, strict=True)):
        if DOTS not in operand.labels:
            continue
        if number < inputs and operand.labels[0] == DOTS:
            leads = True
        elif len(sizes) > operand.legs:
            return False
    return leads and equation.output.labels[:1] == (DOTS,)


def _expanded(term: Term, covered: int) -> Term:
    if DOTS not in term.labels:
        return term
    at = term.labels.index(DOTS)
    axes = tuple(DotsAxis(number) for number in reversed(range(covered)))
    labels = (*term.labels[:at], *axes, *term.labels[at + 1 :])
    places = (*term.places[:at], *[term.places[at]] * covered, *term.places[at + 1 :])
    return Term(labels, places, term.start)


# ── checks ───────────────────────────────────────────────────────────────────────────────────────


def _check_output(equation: Equation, terms: tuple[Term, ...], output: Term) -> None:
    """Nothing is on the output only."""
    known = {label for term in terms for label in term.labels}
    for label, place in zip(output.labels, output.places, strict=True):
        if label not in known:
            raise equation.error(f"{named(label)} is on the output, but on no operand", place)


def _common_sizes(
    equation: Equation, terms: tuple[Term, ...], shapes: tuple[Sizes, ...]
) -> dict[Label, int | None]:
    """The size of each index, in order of first appearance; a size of 1 goes with any other."""
    common: dict[Label, tuple[int | None, int]] = {}
    for number, (term, sizes) in enumerate(zip(terms, shapes, strict=True), start=1):
        own: dict[Label, int | None] = {}
        for label, size, place in zip(term.labels, sizes, term.places, strict=True):
            if own.setdefault(label, size) != size:
                raise equation.error(
                    f"{named(label)} is {own[label]} and {size} on operand {number}:"
                    " both places of a diagonal have one size",
                    place,
                )
            before, where = common.setdefault(label, (size, number))
            if before == 1:
                common[label] = size, number
            elif size not in (before, 1):
                hint = ""
                if before is None or size is None:
                    hint = f": give {size if before is None else before} in both places"
                raise equation.error(
                    f"{named(label)} is {before} on operand {where} and {size} on operand"
                    f" {number}{hint}",
                    place,
                )
    return {label: size for label, (size, _) in common.items()}


def _check_batch(
    equation: Equation,
    terms: tuple[Term, ...],
    shapes: tuple[Sizes, ...],
    output: Term,
    sizes: dict[Label, int | None],
    inputs: int,
) -> None:
    """What has no size is on inputs and the output, once on each."""
    for number, (term, own) in enumerate(zip(terms, shapes, strict=True), start=1):
        for label, size, place in zip(term.labels, own, term.places, strict=True):
            if size is not None or label == DOTS:
                continue
            if number > inputs:
                raise equation.error(
                    f"{named(label)} has no size on operand {number}, which is trained: give its"
                    " size",
                    place,
                )
            if label not in output.labels:
                raise equation.error(
                    f"{named(label)} has no size, so it is a batch axis, and is missing on the"
                    " output: give its size to sum over it",
                    place,
                )
            if term.labels.count(label) > 1:
                raise equation.error(
                    f"{named(label)} has no size and stands twice on operand {number}: give its"
                    " size to take a diagonal",
                    place,
                )
    for label, place in zip(output.labels, output.places, strict=True):
        if label != DOTS and sizes[label] is None and output.labels.count(label) > 1:
            raise equation.error(
                f"{named(label)} has no size and stands twice on the output: give its size to fill"
                " a diagonal",
                place,
            )


# ── axes ─────────────────────────────────────────────────────────────────────────────────────────


def _axes(
    labels: tuple[Label, ...], own: Iterable[int | None], sizes: dict[Label, int | None]
) -> tuple[Axis, ...]:
    """The axes of one term: copies of an index at later places, `Single` where it broadcasts."""
    seen: Counter[Label] = Counter()
    axes: list[Axis] = []
    singles = 0
    for label, size in zip(labels, own, strict=True):
        seen[label] += 1
        if label == DOTS:
            axes.append(DOTS)
        elif size == 1 and (sizes[label] != 1 or seen[label] > 1):
            singles += 1
            axes.append(Single(singles))
        else:
            axes.append(label if seen[label] == 1 else Copy(label, seen[label]))
    return tuple(axes)
