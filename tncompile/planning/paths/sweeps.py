"""Sweeps: one tensor after the other, in declaration order or along the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from tncompile.planning.paths.levels import Inputs, attach
from tncompile.planning.paths.problem import NamedPath, PathBuilder, Problem

TOO_LARGE = 2**62  # elements of an intermediate at which a sweep is given up
FRONTIER = 24  # neighbors that a growing sweep weighs at each step, for linear time


def sweeps(problem: Problem) -> Iterator[NamedPath]:
    """Every sweep that does not explode, by name; inputs are contracted as they are met."""
    inputs, starts, units = parts(PathBuilder(problem))
    orders = {"sweep forward": [*starts, *units], "sweep backward": [*starts, *units[::-1]]}
    middle = (len(units) + 1) // 2
    left, right = units[:middle], units[middle:][::-1]
    if starts and len(units) > 2:  # around an input that many tensors share
        alternating = [unit for pair in zip(left, right, strict=False) for unit in pair]
        orders["sweep from both ends"] = [*starts, *alternating, *left[len(right) :]]
    for name, order in orders.items():
        builder = PathBuilder(problem)
        if join_in_order(builder, order, inputs) is not None:
            yield builder.named(name)
    if not starts and len(units) > 2:
        builder = PathBuilder(problem)
        halves = [join_in_order(builder, half, inputs) for half in (left, right)]
        left_half, right_half = halves
        if (
            left_half is not None
            and right_half is not None
            and builder.joins(left_half, right_half)
        ):
            builder.join(left_half, right_half)
            yield builder.named("sweep from both ends")
    yield from _sweep_along(problem)


def parts(builder: PathBuilder) -> tuple[Inputs, list[int], list[int]]:
    """The inputs of one tensor, those that several share, and all else, in declaration order."""
    attached, inputs = attach(builder), builder.problem.inputs
    waiting = {term for terms in attached.values() for term in terms}
    starts = [term for term in builder.alive if term in inputs and term not in waiting]
    return attached, starts, [term for term in builder.alive if term not in inputs]


def join_in_order(
    builder: PathBuilder, order: Sequence[int], inputs: Inputs | None = None
) -> int | None:
    """Join terms one after the other.

    None where an intermediate becomes absurdly large, or where a step is no single convolution.
    """
    result: int | None = None
    for term in order:
        waiting = list((inputs or {}).get(term, ()))
        if result is None:
            result = term
        else:
            if waiting and _absorb_first(builder, result, term, waiting[0]):
                while waiting:
                    if not builder.joins(waiting[0], term):
                        return None
                    term = builder.join(waiting.pop(0), term)
            if not builder.joins(result, term):
                return None
            result = builder.join(result, term)
        for input_ in waiting:
            left, right = (input_, result) if result == term else (result, input_)
            if not builder.joins(left, right):
                return None
            result = builder.join(left, right)
        if builder.size(result) > TOO_LARGE:
            return None
    return result


def _absorb_first(builder: PathBuilder, result: int, term: int, input_: int) -> bool:
    """Whether (result · (input · tensor)) is cheaper than ((result · tensor) · input)."""
    count = builder.problem.count
    absorbed = builder.result_legs(input_, term)
    first = builder.price(input_, term) + count({*builder.legs[result], *absorbed})
    joined = builder.result_legs(result, term)
    second = builder.price(result, term) + count({*joined, *builder.legs[input_]})
    return first < second


def _sweep_along(problem: Problem) -> Iterator[NamedPath]:
    """From the first tensor on, always the neighbor that adds fewest legs, then elements."""
    builder = PathBuilder(problem)
    inputs, starts, units = parts(builder)
    left = dict.fromkeys((*starts, *units))
    carriers: dict[int, dict[int, None]] = {}
    for term in left:
        for leg in problem.terms[term]:
            if leg not in problem.runtime:
                carriers.setdefault(leg, {})[term] = None
    result: int | None = None

    def growth(term: int) -> tuple[int, int, int]:
        assert result is not None
        legs = builder.result_legs(result, term)
        return len(legs), problem.count(legs), term

    while left:
        near: dict[int, None] = {}  # the first few terms that share an index with the result
        for leg in builder.legs[result] if result is not None else ():
            near.update(dict.fromkeys(islice(carriers.get(leg, {}), FRONTIER)))
            if len(near) >= FRONTIER:
                break
        term = min(near, key=growth, default=next(iter(left)))
        del left[term]
        for leg in problem.terms[term]:
            carriers.get(leg, {}).pop(term, None)
        order = (term,) if result is None else (result, term)
        if (result := join_in_order(builder, order, inputs)) is None:
            return
    yield builder.named("sweep along the network")
