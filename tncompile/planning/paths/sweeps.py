"""Sweeps: one tensor after the other, in declaration order or along the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from tncompile.planning.paths.levels import attach
from tncompile.planning.paths.problem import PathBuilder, Priced, Problem

TOO_LARGE = 2**62
"""Elements of an intermediate at which a sweep is given up."""

FRONTIER = 24
"""How many neighbors a growing sweep weighs at each step, for time linear in the network."""


def sweeps(problem: Problem) -> Iterator[tuple[str, Priced]]:
    """Every sweep that does not explode, by name."""
    for name, order in (("forward", 1), ("backward", -1)):
        if (swept := _sweep(problem, order)) is not None:
            yield f"sweep {name}", swept
    if (swept := _sweep_from_both_ends(problem)) is not None:
        yield "sweep from both ends", swept
    if (swept := _sweep_along(problem)) is not None:
        yield "sweep along the network", swept


def _sweep(problem: Problem, order: int) -> Priced | None:
    """Tensor after tensor in declaration order (or against it), inputs as they are met."""
    contracting = PathBuilder(problem)
    inputs = attach(contracting).inputs
    starts, units = parts(contracting)
    everything = [*starts, *units[::order]]
    if join_in_order(contracting, tuple(everything), inputs) is None:
        return None
    return contracting.priced


def _sweep_from_both_ends(problem: Problem) -> Priced | None:
    """Two sweeps that meet in the middle; around an input that many tensors share, in turns."""
    contracting = PathBuilder(problem)
    inputs = attach(contracting).inputs
    starts, units = parts(contracting)
    if len(units) < 3:
        return None
    middle = (len(units) + 1) // 2
    left, right = units[:middle], units[middle:][::-1]
    if starts:
        turns = [unit for pair in zip(left, right, strict=False) for unit in pair]
        order = (*starts, *turns, *left[len(right) :])
        if join_in_order(contracting, order, inputs) is None:
            return None
    else:
        first = join_in_order(contracting, tuple(left), inputs)
        second = None if first is None else join_in_order(contracting, tuple(right), inputs)
        if first is None or second is None:
            return None
        contracting.join(first, second)
    return contracting.priced


def parts(contracting: PathBuilder) -> tuple[list[int], list[int]]:
    """The inputs that several tensors share, and all that is no input, in declaration order."""
    waiting = attach(contracting).waiting()
    problem = contracting.problem
    starts = [term for term in contracting.alive if term in problem.inputs and term not in waiting]
    units = [term for term in contracting.alive if term not in problem.inputs]
    return starts, units


def join_in_order(
    contracting: PathBuilder, order: tuple[int, ...], inputs: dict[int, list[int]] | None = None
) -> int | None:
    """Join terms one after the other; None where an intermediate becomes absurdly large."""
    result: int | None = None
    for term in order:
        waiting = list((inputs or {}).get(term, ()))
        if result is None:
            result = term
        elif waiting and _absorb_first(contracting, result, term, waiting[0]):
            while waiting:
                term = contracting.join(waiting.pop(0), term)
            result = contracting.join(result, term)
        else:
            result = contracting.join(result, term)
        for given in waiting:
            left, right = (given, result) if result == term else (result, given)
            result = contracting.join(left, right)
        if contracting.size(result) > TOO_LARGE:
            return None
    return result


def _absorb_first(contracting: PathBuilder, result: int, term: int, given: int) -> bool:
    """Whether (result · (input · tensor)) is cheaper than ((result · tensor) · input)."""
    count = contracting.problem.count
    absorbed = contracting.kept(given, term)
    first = contracting.price(given, term)
    first += count(dict.fromkeys((*contracting.legs[result], *absorbed)))
    joined = contracting.kept(result, term)
    second = contracting.price(result, term)
    second += count(dict.fromkeys((*joined, *contracting.legs[given])))
    return first < second


def in_order(problem: Problem) -> Priced:
    """Term after term without any thought: what always exists."""
    contracting = PathBuilder(problem)
    terms = list(contracting.alive)
    result = terms[0]
    for term in terms[1:]:
        result = contracting.join(result, term)
    return contracting.priced


def _sweep_along(problem: Problem) -> Priced | None:
    """From the first tensor on, always the neighbor that adds fewest legs."""
    contracting = PathBuilder(problem)
    inputs = attach(contracting).inputs
    starts, units = parts(contracting)
    left = dict.fromkeys((*starts, *units))
    carriers: dict[int, dict[int, None]] = {}
    for term in left:
        for leg in problem.terms[term]:
            if leg not in problem.runtime:
                carriers.setdefault(leg, {})[term] = None
    result: int | None = None
    while left:
        near = {} if result is None else _near(contracting, carriers, result)
        if near and result is not None:
            term = min(near, key=_growth(contracting, result))
        else:
            term = starts[0] if result is None and starts else next(iter(left))
        del left[term]
        for leg in problem.terms[term]:
            carriers.get(leg, {}).pop(term, None)
        order = (term,) if result is None else (result, term)
        if (result := join_in_order(contracting, order, inputs)) is None:
            return None
    return contracting.priced


def _near(
    contracting: PathBuilder, carriers: dict[int, dict[int, None]], result: int
) -> dict[int, None]:
    """The first few terms left over that share an index with the result so far."""
    near: dict[int, None] = {}
    for leg in contracting.legs[result]:
        for term in islice(carriers.get(leg, {}), FRONTIER):
            near[term] = None
        if len(near) >= FRONTIER:
            break
    return near


def _growth(contracting: PathBuilder, result: int) -> Callable[[int], tuple[int, int, int]]:
    """How little the result grows by a term: in legs, then in elements, then by declaration."""

    def growth(term: int) -> tuple[int, int, int]:
        kept = contracting.kept(result, term)
        return len(kept), contracting.problem.count(kept), term

    return growth
