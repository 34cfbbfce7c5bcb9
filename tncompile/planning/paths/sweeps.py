"""Sweeps: one tensor after the other, in declaration order or along the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from tncompile.planning.paths.levels import attach
from tncompile.planning.paths.problem import CostedPath, PathBuilder, Problem

TOO_LARGE = 2**62
"""Elements of an intermediate at which a sweep is given up."""

FRONTIER = 24
"""How many neighbors a growing sweep weighs at each step, for time linear in the network."""


def sweeps(problem: Problem) -> Iterator[tuple[str, CostedPath]]:
    """Every sweep that does not explode, by name."""
    for name, order in (("forward", 1), ("backward", -1)):
        if (swept := _sweep(problem, order)) is not None:
            yield f"sweep {name}", swept
    if (swept := _sweep_from_both_ends(problem)) is not None:
        yield "sweep from both ends", swept
    if (swept := _sweep_along(problem)) is not None:
        yield "sweep along the network", swept


def _sweep(problem: Problem, order: int) -> CostedPath | None:
    """Tensor after tensor in declaration order (or against it), inputs as they are met."""
    builder = PathBuilder(problem)
    inputs = attach(builder).inputs
    starts, units = parts(builder)
    everything = [*starts, *units[::order]]
    if join_in_order(builder, tuple(everything), inputs) is None:
        return None
    return builder.costed_path


def _sweep_from_both_ends(problem: Problem) -> CostedPath | None:
    """Two sweeps that meet in the middle, alternating around an input that many tensors share."""
    builder = PathBuilder(problem)
    inputs = attach(builder).inputs
    starts, units = parts(builder)
    if len(units) < 3:
        return None
    middle = (len(units) + 1) // 2
    left, right = units[:middle], units[middle:][::-1]
    if starts:
        alternating = [unit for pair in zip(left, right, strict=False) for unit in pair]
        order = (*starts, *alternating, *left[len(right) :])
        if join_in_order(builder, order, inputs) is None:
            return None
    else:
        first = join_in_order(builder, tuple(left), inputs)
        second = None if first is None else join_in_order(builder, tuple(right), inputs)
        if first is None or second is None:
            return None
        builder.join(first, second)
    return builder.costed_path


def parts(builder: PathBuilder) -> tuple[list[int], list[int]]:
    """The inputs that several tensors share, and all that is no input, in declaration order."""
    waiting = attach(builder).waiting()
    problem = builder.problem
    starts = [term for term in builder.alive if term in problem.inputs and term not in waiting]
    units = [term for term in builder.alive if term not in problem.inputs]
    return starts, units


def join_in_order(
    builder: PathBuilder, order: tuple[int, ...], inputs: dict[int, list[int]] | None = None
) -> int | None:
    """Join terms one after the other; None where an intermediate becomes absurdly large."""
    result: int | None = None
    for term in order:
        waiting = list((inputs or {}).get(term, ()))
        if result is None:
            result = term
        elif waiting and _absorb_first(builder, result, term, waiting[0]):
            while waiting:
                term = builder.join(waiting.pop(0), term)
            result = builder.join(result, term)
        else:
            result = builder.join(result, term)
        for input_ in waiting:
            left, right = (input_, result) if result == term else (result, input_)
            result = builder.join(left, right)
        if builder.size(result) > TOO_LARGE:
            return None
    return result


def _absorb_first(builder: PathBuilder, result: int, term: int, input_: int) -> bool:
    """Whether (result · (input · tensor)) is cheaper than ((result · tensor) · input)."""
    count = builder.problem.count
    absorbed = builder.result_legs(input_, term)
    first = builder.price(input_, term)
    first += count(dict.fromkeys((*builder.legs[result], *absorbed)))
    joined = builder.result_legs(result, term)
    second = builder.price(result, term)
    second += count(dict.fromkeys((*joined, *builder.legs[input_])))
    return first < second


def in_order(problem: Problem) -> CostedPath:
    """Term after term in declaration order: the path that always exists."""
    builder = PathBuilder(problem)
    terms = list(builder.alive)
    result = terms[0]
    for term in terms[1:]:
        result = builder.join(result, term)
    return builder.costed_path


def _sweep_along(problem: Problem) -> CostedPath | None:
    """From the first tensor on, always the neighbor that adds fewest legs."""
    builder = PathBuilder(problem)
    inputs = attach(builder).inputs
    starts, units = parts(builder)
    left = dict.fromkeys((*starts, *units))
    carriers: dict[int, dict[int, None]] = {}
    for term in left:
        for leg in problem.terms[term]:
            if leg not in problem.runtime:
                carriers.setdefault(leg, {})[term] = None
    result: int | None = None
    while left:
        near = {} if result is None else _near(builder, carriers, result)
        if near and result is not None:
            term = min(near, key=_growth(builder, result))
        else:
            term = starts[0] if result is None and starts else next(iter(left))
        del left[term]
        for leg in problem.terms[term]:
            carriers.get(leg, {}).pop(term, None)
        order = (term,) if result is None else (result, term)
        if (result := join_in_order(builder, order, inputs)) is None:
            return None
    return builder.costed_path


def _near(
    builder: PathBuilder, carriers: dict[int, dict[int, None]], result: int
) -> dict[int, None]:
    """The first few terms left over that share an index with the result so far."""
    near: dict[int, None] = {}
    for leg in builder.legs[result]:
        for term in islice(carriers.get(leg, {}), FRONTIER):
            near[term] = None
        if len(near) >= FRONTIER:
            break
    return near


def _growth(builder: PathBuilder, result: int) -> Callable[[int], tuple[int, int, int]]:
    """How little the result grows by a term: in legs, then in elements, then by declaration."""

    def growth(term: int) -> tuple[int, int, int]:
        legs = builder.result_legs(result, term)
        return len(legs), builder.problem.count(legs), term

    return growth
