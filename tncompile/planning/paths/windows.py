"""Networks with windows as problems without: carriers of a kernel merged, images with all legs.

A path finder that knows no windows is given the image of a window with the leg of the result and
that of the kernel: contracting it with the carrier then has the price of the convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from tncompile.planning.paths.problem import Pair, Path, PathBuilder, Problem


def carriers_merged(problem: Problem, quick_path: Callable[[Problem], Path]) -> PathBuilder:
    """A path begun: all carriers of one kernel leg merged with each other, as they have to be."""
    builder = PathBuilder(problem)
    for window in problem.windows:
        carriers = tuple(term for term in builder.alive if window.kernel in builder.legs[term])
        if len(carriers) > 1:
            builder.follow(carriers, quick_path(builder.part(carriers)))
    return builder


def remainder(builder: PathBuilder) -> tuple[Problem, tuple[int, ...]]:
    """The problem that a path begun leaves over, and the number of each of its terms.

    Products of an input with a parameter depend on inputs as what ids select does.
    """
    problem, alive = builder.problem, tuple(builder.alive)
    count = len(problem.terms)
    varying = [term in problem.inputs or term in problem.looked_up for term in range(count)]
    for left, right in builder.pairs:
        varying.append(varying[left] or varying[right])
    inputs = frozenset(k for k, term in enumerate(alive) if term in problem.inputs)
    others = frozenset(k for k, term in enumerate(alive) if varying[term] and k not in inputs)
    left_over = replace(builder.part(alive), output=problem.output, inputs=inputs, looked_up=others)
    return left_over, alive


def replayed(problem: Problem, pairs: Iterable[Pair]) -> PathBuilder:
    """A builder that has gone along a path."""
    builder = PathBuilder(problem)
    for left, right in pairs:
        builder.join(left, right)
    return builder


@dataclass(frozen=True, slots=True)
class Encoding:
    """A problem without windows whose paths are those of one with windows, once it is begun."""

    name: str
    problem: Problem
    begun: PathBuilder

    def decoded(self, pairs: Iterable[Pair]) -> Path | None:
        """The path of the problem with windows; None where a step is no single convolution."""
        builder = replayed(self.begun.problem, self.begun.pairs)
        numbers = list(builder.alive)
        for left, right in pairs:
            if not builder.joins(numbers[left], numbers[right]):
                return None
            numbers.append(builder.join(numbers[left], numbers[right]))
        return tuple(builder.pairs)


def encodings(problem: Problem, quick_path: Callable[[Problem], Path]) -> Iterator[Encoding]:
    """Two problems: one with the right price of convolutions, and one of what comes before them.

    With the leg of the kernel on the image, whatever meets it before the convolution seems to
    cost as many times more as the kernel is large. So kernels count as 1 in the other one.
    """
    begun = carriers_merged(problem, quick_path)
    left_over, _ = remainder(begun)
    legs_of = {window.image: (window.positions, window.kernel) for window in problem.windows}
    terms = tuple(
        tuple(new for leg in legs for new in legs_of.get(leg, (leg,))) for legs in left_over.terms
    )
    ends = {window.result: window.positions for window in problem.windows}
    output = tuple(ends.get(leg, leg) for leg in problem.output)
    full = Problem(terms, output, problem.sizes, problem.runtime)
    yield Encoding("kernels in full", full, begun)
    kernels = {window.kernel for window in problem.windows}
    sizes = tuple(1 if leg in kernels else size for leg, size in enumerate(problem.sizes))
    if sizes != problem.sizes:
        yield Encoding("kernels as one", replace(full, sizes=sizes), begun)
